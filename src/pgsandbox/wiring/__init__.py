"""Settings become a server, databases with their schema, and an interceptor to them.

The one place where the layers below meet. A `Run` is made from a project's settings; `start` finds
the server and claims the databases, `heal` recreates those that a test has changed for real, and
`stop` leaves nothing behind.

* ``urls``: URLs as people write them;
* ``application``: the application whose context is pushed where its schema is built;
* ``resolving``: what the settings refer to: URLs, metadata, the seed;
* ``project``: the project's application, and the databases that its settings ask for;
* ``server_choice``: which server a run uses;
* ``template_specifications``: how a template is made, and the address under which it is found;
* ``run_databases``: one test database of a run;
* ``run_clones``: the databases of its own that a test may ask for;
* ``run``: all of that together, in the order in which it happens.

It imports ``config`` and everything below it. What needs two of those layers belongs here; what
needs one belongs there.
"""

from __future__ import annotations

from pgsandbox.sandbox.driver_hooks import target_of_url as target_of
from pgsandbox.wiring.application import Application
from pgsandbox.wiring.project import DEFAULT, Project
from pgsandbox.wiring.run import Run, started
from pgsandbox.wiring.run_databases import RunDatabase
from pgsandbox.wiring.server_choice import choose_server, find_running

__all__ = [
    "DEFAULT",
    "Application",
    "Project",
    "Run",
    "RunDatabase",
    "choose_server",
    "find_running",
    "started",
    "target_of",
]
