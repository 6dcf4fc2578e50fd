"""The base of the factories that people write."""

# Factory Boy announces types and annotates next to none of its functions.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from factory import alchemy
from sqlalchemy.orm import Session
from typing_extensions import TypeVar

from pgsandbox.factories import running
from pgsandbox.factories.building import Builder, Options, overrides
from pgsandbox.factories.calls import Call, joining
from pgsandbox.factories.lookup import get_or_create

T = TypeVar("T", default=Any)

# The first test that imports its factories only while it runs repeats like any other.
running.reseed()


class Factory(alchemy.SQLAlchemyModelFactory, Generic[T]):
    """Makes objects of a SQLAlchemy model and writes them into the running test's session.

    The session is found when an object is made and is never stored, so a factory can't write into
    the session of a test that is over. ``_session=`` names another one for a single call;
    everything that comes of the call goes there. ``Meta.sqlalchemy_session_factory`` is honoured,
    for a model that lives in a session of its own; ``Meta.sqlalchemy_session`` is refused, because
    it is exactly such a stored session.

    A call writes once, when it ends: parents, children, and all objects of ``create_batch`` in one
    flush, with ``Meta.sqlalchemy_session_persistence`` at its default ``"flush"``. Where code of
    yours is shown an object before, a hook or a lambda, a ``_create`` or a constructor, it is
    written first, so that it always has its primary key; with such code ``create_batch`` takes more
    than one flush. Two things do not count: a listener of attribute events, and a lambda that asks
    the database past the ORM. ``"commit"`` commits at the same places, and None writes nothing.

    Outside a test NoSession is raised before anything is made. ``build`` and ``stub`` need no
    session.
    """

    _options_class = Options

    class Meta:
        """What every factory inherits."""

        abstract = True
        sqlalchemy_session_persistence = "flush"

    if TYPE_CHECKING:
        _meta: Options

        def __new__(cls, **kwargs: Any) -> T:  # type: ignore[misc]
            """Return what ``create`` returns."""

        @classmethod
        def create(cls, **kwargs: Any) -> T:
            """Return one object, written into the session."""

        @classmethod
        def build(cls, **kwargs: Any) -> T:
            """Return one object of which no session knows."""

        @classmethod
        def build_batch(cls, size: int, **kwargs: Any) -> list[T]:
            """Return *size* objects of which no session knows."""

    @classmethod
    def create_batch(cls, size: int, **kwargs: Any) -> list[T]:
        """Return *size* objects, written into the session by one flush."""
        if cls._meta.abstract or overrides(cls, "create") or overrides(cls, "_generate"):
            # A create of the factory's own expects each object written when it gets it.
            return super().create_batch(size, **kwargs)
        if size < 1:
            return []
        session = kwargs.pop("_session", None)

        def make() -> list[T]:
            with Call(session) as call:
                return [cls._build_in(call, dict(kwargs)) for _ in range(size)]

        return running.perform(make)  # type: ignore[no-any-return]

    @classmethod
    def _generate(cls, strategy: str, params: dict[str, Any]) -> T:
        session = params.pop("_session", None)
        if strategy != "create" or cls._meta.abstract:
            # Past SQLAlchemyModelFactory, which would keep the parameters on the class.
            made: T = super(alchemy.SQLAlchemyModelFactory, cls)._generate(strategy, params)
            return made

        def make() -> T:
            with Call(session) as call:
                return cls._build_in(call, params)  # type: ignore[no-any-return]

        return running.perform(make)  # type: ignore[no-any-return]

    @classmethod
    def _build_in(cls, call: Call, params: dict[str, Any]) -> Any:
        if cls._meta.sqlalchemy_session_factory is None:
            # Asked for before anything is made, so that an error names the factory that was called
            # and not the first of its sub-factories.
            call.session_for(cls)
        return Builder(cls._meta, params, "create").build()

    @classmethod
    def _create(cls, model_class: type, *args: Any, **kwargs: Any) -> Any:
        with joining() as call:
            session = call.session_for(cls)
            if cls._meta.sqlalchemy_get_or_create:
                return cls._get_or_create(model_class, session, args, kwargs)
            return cls._save(model_class, session, args, kwargs)

    @classmethod
    def _get_or_create(
        cls, model_class: type, session: Session, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        with joining() as call:
            return get_or_create(
                cls, session, kwargs, lambda: cls._save(model_class, session, args, kwargs), call
            )

    @classmethod
    def _save(
        cls, model_class: type, session: Session, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        persistence = cls._meta.sqlalchemy_session_persistence
        with joining() as call:
            if persistence is None:
                # A later flush would write this object too.
                call.write()
            made = model_class(*args, **kwargs)
            session.add(made)
            call.will_write(session, persistence)
            return made
