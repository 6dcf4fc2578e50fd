"""One call of a factory: its session, and what it has yet to write.

A call is what people write, ``AgentFactory()`` or ``create_batch(5)``, with all the objects that
come of it. It writes them together: objects are added to the session as they are made, and flushed
when the call ends, or before anything is shown to code that is not ours and could look for a
primary key.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import sqlalchemy
from sqlalchemy.orm import InstanceState, Session

from pgsandbox.errors import Fact, FactoryError, NoSession
from pgsandbox.factories import running

if TYPE_CHECKING:
    from pgsandbox.factories.base import Factory

# A context variable, not a thread's: async tasks that share a thread must not share a call. It is
# empty in a new thread, so a call's session stays in the thread that named it.
_running: ContextVar[Call | None] = ContextVar("pgsandbox_factory_call", default=None)

_PLAIN = (str, bytes, int, float, Decimal, Enum, UUID, date, time, timedelta, type(None))


@dataclass(eq=False, slots=True)
class Call:
    """One call of a factory, answered in a ``with`` block; what it made is written at its end.

    A call within another one, from a hook say, goes to the same session unless it names its own.
    If the block raises an error, nothing more is written.
    """

    given: Session | None = None
    """The session that the caller named by ``_session=``, here or further out."""
    ambient: Session | None = None
    """The running test's session, once it was asked for."""
    unwritten: dict[Any, bool] = field(default_factory=dict)
    """Sessions with objects to write, each with whether to commit."""
    found: dict[Any, Any] = field(default_factory=dict)
    """What get_or_create gave in this call, by model and key."""
    passed: Mapping[str, object] = field(default_factory=dict)
    """What the caller passed for the object that is being made."""
    is_handing_on: bool = True
    """Whether a value that is asked for now is only handed on, and nobody looks inside it."""
    _token: Token[Call | None] | None = None

    def __enter__(self) -> Self:
        outer = _running.get()
        if outer is not None:
            # Code that is not ours makes this call, and may look at what the outer one has made.
            outer.write()
            self.given = outer.given if self.given is None else self.given
        self._token = _running.set(self)
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        assert self._token is not None
        try:
            if error is None:
                self.write()
        finally:
            _running.reset(self._token)

    def session_for(self, factory: type[Factory[Any]]) -> Session:
        """Return the session that objects of *factory* go into, or raise NoSession."""
        refuse_stored_session(factory)
        if self.given is not None:
            return usable(self.given, factory)
        own = factory._meta.sqlalchemy_session_factory
        if own is not None:
            return usable(own(), factory)
        if self.ambient is None:
            self.ambient = running.session()
        if self.ambient is None:
            raise _no_session(factory)
        return usable(self.ambient, factory)

    def will_write(self, session: Session, persistence: str | None) -> None:
        """Write what is new in *session* at the next occasion; without *persistence*, never."""
        if persistence is not None:
            self.unwritten[session] = self.unwritten.get(session, False) or persistence == "commit"

    def write(self) -> None:
        """Flush what was made so far, and commit it where its factory says so."""
        while self.unwritten:
            session, is_to_commit = self.unwritten.popitem()
            if is_to_commit:
                session.commit()
            else:
                session.flush()

    def write_before_showing(self, values: Iterable[object]) -> None:
        """Write if code that is not ours is about to see *values* and one of them is unwritten."""
        if self.unwritten and any(_may_be_unwritten(value) for value in values):
            self.write()


def running_call() -> Call | None:
    """Return the call that is being answered in this thread or task, if any."""
    return _running.get()


def joining() -> AbstractContextManager[Call]:
    """Return the running call to take part in, or one of one's own where none is running."""
    call = _running.get()
    return Call() if call is None else nullcontext(call)


def refuse_stored_session(factory: type[Factory[Any]]) -> None:
    """Raise FactoryError if *factory* has a session on its class."""
    if factory._meta.sqlalchemy_session is None:
        return
    raise FactoryError(
        f"{factory.__name__} has a session in its Meta, where it would outlive the test.",
        facts=[Fact("factory", _name(factory))],
        remedy="Remove Meta.sqlalchemy_session: the session of the running test is found when an "
        "object is made. For a single call pass _session=; for a model with a session of its own "
        "set Meta.sqlalchemy_session_factory.",
    )


def usable(session: Any, factory: type[Factory[Any]]) -> Session:
    """Return *session* if a factory can write into it, or raise FactoryError."""
    if isinstance(session, Session):
        return session
    flush = getattr(session, "flush", None)
    if inspect.iscoroutinefunction(flush):
        raise FactoryError(
            f"{factory.__name__} needs a Session and was given an {type(session).__name__}.",
            facts=[Fact("factory", _name(factory))],
            remedy="A factory does not await. Call it inside run_sync, which gives the Session: "
            f"await session.run_sync(lambda session: {factory.__name__}(_session=session))",
        )
    if not callable(flush):
        raise FactoryError(
            f"{factory.__name__} needs a Session and was given a {type(session).__name__}.",
            facts=[Fact("factory", _name(factory)), Fact("given", repr(session))],
            remedy="Give the session itself: what a sessionmaker returns when it is called.",
        )
    return session  # type: ignore[no-any-return] # a scoped_session will do as well


def _may_be_unwritten(value: object) -> bool:
    if isinstance(value, _PLAIN):
        return False
    state = sqlalchemy.inspect(value, raiseerr=False)
    if isinstance(state, InstanceState):
        return state.pending
    return True


def _no_session(factory: type[Factory[Any]]) -> NoSession:
    return NoSession(
        f"{factory.__name__} was called where no test has a session, so nothing was made.",
        facts=[
            Fact("factory", _name(factory)),
            Fact("model", _name(factory._meta.model)),
        ],
        remedy="Request db_session in the test or fixture that calls it. A call at a module's "
        "level or in a list of parameters has to move into one. "
        f"{factory.__name__}.build() makes the object without a database.",
    )


def _name(named: type) -> str:
    return f"{named.__module__}.{named.__qualname__}"
