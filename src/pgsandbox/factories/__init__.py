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
``create_batch``. Sequences, iterators and random values start anew in every test, so that a failing
test repeats.

Factory Boy takes most of a second to import. Importing this package does not import it; asking for
``Factory`` does.
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
