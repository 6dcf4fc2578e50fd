"""The schema of a fresh test database, built from the models or from their migrations.

To build one:

* ``logs``: logging and warnings that other people's code configures, put back;
* ``rendering``: a MetaData as text;
* ``creating``: the tables of a MetaData, or all that stands in their way;
* ``missing_ini``: an env.py that reads an ini file where there is none;
* ``builders``: extensions, tables or migrations, seed rows, in that order;
* ``fingerprint``: what a built schema depends on, as one digest;
* ``tracing``: what a build reads while it runs.

To compare two:

* ``movable_clock``: a database whose ``now()`` can be moved;
* ``schema_objects``: what a catalog says, as plain data;
* ``deparsed``: the server's deparsed texts;
* ``queries``: what the queries share, and those for comments and dependencies;
* ``queries_of_tables``, ``queries_of_types``, ``queries_of_databases``: by what they query;
* ``catalog``: a database's schema, read by these queries;
* ``renames``: what two schemas call by different names;
* ``consequences``: differences that follow from others, folded into them;
* ``compare``: each single difference once;
* ``reconcile``: the statement that mends a difference;
* ``findings``: words for the differences.

To check migrations:

* ``coverage``: what of a schema the tests of a run have touched;
* ``versions``: where Alembic writes down which have run;
* ``migrating``: migrations run one by one;
* ``checks``: what can be wrong with them;
* ``long_locks``: which keep a large table locked.

It imports SQLAlchemy, Alembic where there are migrations, ``reports``, ``guard`` and ``errors``;
``compare`` and ``findings`` need the standard library only. A kind of object that is not seen yet
needs a query, a facet in ``catalog`` and a row in the tests' table of differences.
"""

from pgsandbox.schema.builders import (
    Builder,
    MetadataBuilder,
    MigrationsBuilder,
    Seed,
    quiet_warnings,
)
from pgsandbox.schema.logs import logging_kept

__all__ = [
    "Builder",
    "MetadataBuilder",
    "MigrationsBuilder",
    "Seed",
    "logging_kept",
    "quiet_warnings",
]
