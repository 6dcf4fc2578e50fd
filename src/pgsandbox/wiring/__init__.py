"""Settings become a server, databases with their schema, and a interceptor to them.

The one place where the layers below meet. A `Run` is made from a project's settings; `start` finds
the server and claims the databases, `heal` makes those anew that a test has changed for real, and
`stop` leaves nothing behind.
"""

from __future__ import annotations

from pgsandbox.sandbox.driver_hooks import target_of_url as target_of
from pgsandbox.wiring.application import Application
from pgsandbox.wiring.run import DEFAULT, Run
from pgsandbox.wiring.run_databases import RunDatabase
from pgsandbox.wiring.server_choice import choose_server, find_running

__all__ = [
    "DEFAULT",
    "Application",
    "Run",
    "RunDatabase",
    "choose_server",
    "find_running",
    "target_of",
]
