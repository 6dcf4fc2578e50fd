"""One database's life on a server: its name, its creation and mark, its lease, its end.

`claim` gives a run an empty database of its own, `reap` drops what dead runs left, `leftovers`
lists what is there. The parts, from the bottom:

* ``names``: what a test database is called;
* ``limits``: administrative statements that end, and who made them wait;
* ``catalog``: what a database is, and whether it is ours;
* ``admin``: create, mark, drop;
* ``lease``: who is alive;
* ``lifecycle``: all of it together, in the order in which things happen.
"""

from __future__ import annotations

from pgsandbox.databases.admin import Server, administration, require_createdb
from pgsandbox.databases.lease import Lease, Leases
from pgsandbox.databases.lifecycle import (
    Leftover,
    OwnedDatabase,
    PassedOver,
    claim,
    leftovers,
    reap,
)
from pgsandbox.databases.names import exact_name, test_name

__all__ = [
    "Lease",
    "Leases",
    "Leftover",
    "OwnedDatabase",
    "PassedOver",
    "Server",
    "administration",
    "claim",
    "exact_name",
    "leftovers",
    "reap",
    "require_createdb",
    "test_name",
]
