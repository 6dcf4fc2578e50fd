"""One database's life on a server: its name, its creation and mark, its lease, its end.

`claim` gives a run an empty database of its own, `reap` drops what dead runs left, `leftovers`
lists what is there.

* ``naming``: what a test database is called;
* ``limits``: administrative statements that end, and who made them wait;
* ``second_proof``: what tells that a database is ours where its mark was overwritten;
* ``pg_database``: what the server's catalog says of a database, and whether it is ours;
* ``connecting``: connections for administrative work;
* ``admin``: create, mark, drop, each after the proof that the database is ours;
* ``replication``: what would keep a database from being dropped;
* ``lease``: who is alive;
* ``capacity``: whether a run has connections enough;
* ``lifecycle``: all of it together, in the order in which things happen;
* ``templates``: databases that are built once and copied many times;
* ``commits``: whether a session in one of our databases has changed what all of them share;
* ``shared``: what a clone does not hold, and its test may change all the same;
* ``clone_pool``: clones for single tests, made ahead of them.

It imports psycopg2, ``guard``, ``connections`` and ``errors``; it knows neither settings nor
SQLAlchemy, and takes whatever builds a schema as a ``TemplateSpecification``. A statement that
changes a database belongs into ``admin``, and the order of several into ``lifecycle``.
"""

from __future__ import annotations

from pgsandbox.databases.admin import may_create_databases, missing_createdb, require_createdb
from pgsandbox.databases.capacity import Capacity, capacity_of, require_enough
from pgsandbox.databases.clone_pool import ClonePool, CloneSource, Copies
from pgsandbox.databases.connecting import HeldServer, Server, administration
from pgsandbox.databases.lease import Lease, Leases
from pgsandbox.databases.lifecycle import (
    PURPOSE,
    TEMPLATE,
    Leftover,
    OwnedDatabase,
    PassedOver,
    claim,
    leftovers,
    reap,
)
from pgsandbox.databases.naming import exact_name, template_name, test_name
from pgsandbox.databases.templates import (
    Template,
    TemplateSpecification,
    circumstances,
    obtain,
    release,
)

__all__ = [
    "PURPOSE",
    "TEMPLATE",
    "Capacity",
    "ClonePool",
    "CloneSource",
    "Copies",
    "HeldServer",
    "Lease",
    "Leases",
    "Leftover",
    "OwnedDatabase",
    "PassedOver",
    "Server",
    "Template",
    "TemplateSpecification",
    "administration",
    "capacity_of",
    "circumstances",
    "claim",
    "exact_name",
    "leftovers",
    "may_create_databases",
    "missing_createdb",
    "obtain",
    "reap",
    "release",
    "require_createdb",
    "require_enough",
    "template_name",
    "test_name",
]
