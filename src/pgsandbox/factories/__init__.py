"""Factory Boy factories that write into the running test's session.

::

    import factory
    from pgsandbox.factories import Factory

    class ProjectFactory(Factory):
        class Meta:
            model = Project

        path = factory.Sequence(lambda n: f"/srv/project-{n}")

``ProjectFactory()`` finds the session of the running test when it is called, so no factory has to
be told of one; ``ProjectFactory(_session=other)`` uses another one for this call and everything
that it makes. Objects are in the database when the call returns, by one flush, also for
``create_batch``. Sequences, iterators and random values restart in every test, so that a failing
test repeats.

Factory Boy takes most of a second to import. Importing this package does not import it; asking for
``Factory`` does.

What tests use:

* ``running``: the running test's session, and the fresh start of each test;
* ``calls``: one call of a factory, and what it has yet to write;
* ``building``: Factory Boy's steps, with the write put off;
* ``lookup``: get or create, inside a savepoint;
* ``base``: the base of the factories that people write.

What writes and checks factories, from the bottom:

* ``logic``: PostgreSQL's logic of three values;
* ``conditions``: CHECK constraints, read as far as they are simple;
* ``mapped_classes``: what the mapped classes of a project say;
* ``imports``: what a written module imports;
* ``value``: what a factory gives to a column;
* ``common_types``: values for the types that every database has;
* ``postgresql_types``: values for those of PostgreSQL alone;
* ``values``: the value for a column;
* ``satisfying``: values that satisfy the CHECK constraints of a row;
* ``plans``: what a module of factories says, before it is text;
* ``choosing``: what a row holds;
* ``parents``: sub-factories, and what two of them share;
* ``declaring``: what a factory declares for a row;
* ``planning``: what all factories declare, and in which order;
* ``writing``: plans become a module;
* ``generating``: all of that together;
* ``findings``: the codes of the check, and where each can be mended;
* ``refusals``: why the server took no object;
* ``persisting``: objects made in a database, each try undone;
* ``checking``: factories compared with the models.

It imports SQLAlchemy, Factory Boy, ``reports`` and ``errors``. A type that gets no sensible value
belongs into ``common_types`` or ``postgresql_types``, a finding into ``findings`` and ``checking``.
"""

from typing import TYPE_CHECKING

from pgsandbox.factories.running import (
    begin_test,
    counted_so_far,
    go_on,
    interrupt,
    use_session_source,
)

if TYPE_CHECKING:
    from pgsandbox.factories.base import Factory

__all__ = [
    "Factory",
    "begin_test",
    "counted_so_far",
    "go_on",
    "interrupt",
    "use_session_source",
]


def __getattr__(name: str) -> object:
    if name == "Factory":
        from pgsandbox.factories.base import Factory

        return Factory
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
