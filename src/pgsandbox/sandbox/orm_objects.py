"""Restores sessions and objects of the ORM that outlive a test, as they were before it.

A fixture of a wider scope may hand one object to many tests. Rows are brought back by the server;
what a test has changed on the object, and in the session that holds it, is brought back here,
without a statement: values that were loaded are loaded again, and what was not is read when asked.

What SQLAlchemy publishes does it (``make_transient``, ``make_transient_to_detached``, ``add``,
``expire``, ``set_committed_value``), but for two things that the site promises: a session that a
``with`` block holds, and the ``scoped_session`` that a test has removed.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.mutable import MutableBase
from sqlalchemy.orm import (
    InstanceState,
    Session,
    make_transient,
    make_transient_to_detached,
    object_session,
    scoped_session,
)
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.collections import collection_adapter

_CHANGEABLE = (dict, list, set, bytearray, MutableBase)


class Snapshot:
    """What the sessions and objects of wider fixtures were like when their set-up ended."""

    def __init__(
        self, sessions: Iterable[Session] = (), states: Iterable[InstanceState[Any]] = ()
    ) -> None:
        self.sessions = tuple(sessions)
        found = dict.fromkeys(state for each in self.sessions for state in _states_in(each))
        found.update(dict.fromkeys(states))
        self._objects = [each for each in map(_remembered, found) if each is not None]
        self._registries = [found for each in self.sessions for found in _registries_of(each)]
        self._is_fresh = False

    def __len__(self) -> int:
        """Return how many sessions and objects it holds."""
        return len(self.sessions) + len(self._objects)

    @property
    def states(self) -> list[InstanceState[Any]]:
        """The objects that are alive still."""
        return [each.state for each in self._objects if each.state.obj() is not None]

    def restore(self) -> None:
        """Restore every session and every object; sends nothing to the server.

        It is called when the transaction is over in which they were changed.
        """
        alive = [(each, made) for each in self._objects if (made := each.state.obj()) is not None]
        known = {each.state for each, _ in alive}
        used = [each for each in self.sessions if not self._is_fresh or _is_used(each, known)]
        for session in used:
            _empty(session)
        changed = [
            (each, made)
            for each, made in alive
            if each.session in used or not (self._is_fresh and each.is_as_it_was(made))
        ]
        for each, made in changed:
            each.take_out(made)
        for each, made in changed:
            each.put_back(made)
        for session in self.sessions:
            if session.in_transaction():  # begun by nothing but putting objects back
                session.rollback()
        for each, made in changed:
            each.load_values(made)
        for each, made in changed:
            each.load_others(made)
        for scoped, session in self._registries:
            with contextlib.suppress(Exception):  # its scope is of the application's making
                scoped.registry.set(session)
        self._is_fresh = True


@dataclass(eq=False)
class _Remembered:
    """One object, and what it held."""

    state: InstanceState[Any]
    session: Session | None
    """Where it was; None for one whose session was closed."""
    identity: tuple[Any, ...]
    """The values of its primary key."""
    plain: dict[str, Any]
    """Attributes that are none of the mapper's."""
    values: dict[str, Any]
    """The values of its columns, as far as they were loaded."""
    others: dict[str, _Others | None]
    """What its relationships led to, as far as they were loaded."""
    loaded: dict[str, int] = field(default_factory=dict)
    """Which values it has since it was put back, by their identities."""

    def is_as_it_was(self, made: Any) -> bool:
        """Whether nobody has touched it since it was put back."""
        state = self.state
        if state.modified or state.identity != self.identity:
            return False
        if object_session(made) is not self.session:
            return False
        present = vars(made)
        return {name: id(value) for name, value in present.items()} == self.loaded and all(
            present[name] == value
            for name, value in self.values.items()
            if isinstance(value, _CHANGEABLE) and name in present
        )

    def take_out(self, made: Any) -> None:
        """Take it out of any session, with nothing changed and none of its relationships loaded."""
        session = object_session(made)
        if session is not None:
            session.expunge(made)
        make_transient(made)  # also where a test has deleted it
        present = vars(made)
        for name in present.keys() - self.state.mapper.attrs.keys() - {"_sa_instance_state"}:
            del present[name]
        present.update(self.plain)
        for name, relationship in self.state.mapper.relationships.items():
            if name in present:  # along which a session would take in what the test has made
                set_committed_value(made, name, [] if relationship.uselist else None)
        for column, value in zip(self.state.mapper.primary_key, self.identity, strict=True):
            name = self.state.mapper.get_property_by_column(column).key
            set_committed_value(made, name, value)
        make_transient_to_detached(made)

    def put_back(self, made: Any) -> None:
        """Put it where it was, with nothing loaded."""
        if self.session is not None:
            with contextlib.suppress(InvalidRequestError):  # its session is closed for good
                self.session.add(made)
                self.session.expire(made)
                return
        passing = Session()
        passing.add(made)
        passing.expire(made)
        passing.expunge(made)

    def load_values(self, made: Any) -> None:
        """Give its columns the values that they had."""
        for name, value in self.values.items():
            own = _copied(value)
            if isinstance(own, MutableBase):
                own._parents[self.state] = name  # documented: what it tells of its changes
            set_committed_value(made, name, own)

    def load_others(self, made: Any) -> None:
        """Give its relationships what they led to, once all of these have their values.

        What is gone, or would have to be read to be put into its place, is read when asked for.
        """
        for name, others in self.others.items():
            found = [reference() for reference in others.references] if others else []
            if others is None:
                set_committed_value(made, name, None)
            elif any(each is None or (others.has_keys and _is_expired(each)) for each in found):
                continue
            else:
                set_committed_value(made, name, found if others.is_collection else found[0])
        self.loaded = {name: id(value) for name, value in vars(made).items()}


@dataclass(frozen=True)
class _Others:
    """The other objects that a relationship led to."""

    references: tuple[weakref.ref[Any], ...]
    is_collection: bool = False
    has_keys: bool = False
    """Whether an object's place follows from its values."""


def _states_in(session: Session) -> list[InstanceState[Any]]:
    return [inspect(made) for made in list(session.identity_map.values())]


def _remembered(state: InstanceState[Any]) -> _Remembered | None:
    made = state.obj()
    if made is None or state.identity is None or state.deleted or state.was_deleted:
        return None
    mapped = set(state.mapper.column_attrs.keys()), set(state.mapper.relationships.keys())
    plain, values, others = {}, {}, {}
    for name, value in vars(made).items():
        if name == "_sa_instance_state":
            continue
        if name in mapped[1]:
            others[name] = _others(value)
        elif name in mapped[0]:
            values[name] = _copied(value)
        else:
            plain[name] = value
    return _Remembered(state, object_session(made), state.identity, plain, values, others)


def _others(value: Any) -> _Others | None:
    if value is None:
        return None
    try:
        adapter = collection_adapter(value)
    except AttributeError:
        adapter = None
    if adapter is None:
        return _Others((weakref.ref(value),))
    has_keys = not isinstance(value, list | set)
    return _Others(tuple(weakref.ref(each) for each in adapter), True, has_keys)


def _copied(value: Any) -> Any:
    if isinstance(value, _CHANGEABLE):
        with contextlib.suppress(Exception):  # a value of the application's own type
            return copy.deepcopy(value)
    return value


def _empty(session: Session) -> None:
    """Take every object out, and end its transaction, also where a ``with`` block holds it."""
    bind = session.bind
    for empty in (session.rollback, session.expunge_all):
        with contextlib.suppress(Exception):  # a session that is closed for good
            empty()
    for subject in (session, bind):
        # The block's own end does nothing, then, and the session may be used before it. There is no
        # public way: rollback() within the block leaves it closed for every later test.
        if getattr(subject, "_trans_context_manager", None) is not None:
            subject._trans_context_manager = None  # type: ignore[union-attr]


def _is_used(session: Session, known: set[InstanceState[Any]]) -> bool:
    """Whether more was done with *session* since than to look at loaded values."""
    if session.in_transaction() or session.new or session.deleted:
        return True
    return any(state not in known for state in _states_in(session))


_scoped: dict[type[Session], list[weakref.ref[Any]]] = {}


def _registries_of(session: Session) -> list[tuple[Any, Session]]:
    """Return the ``scoped_session`` that hands out *session*: a test may call its remove().

    No public way leads from a session to it, so it is looked for among all objects, once for each
    class of sessions.
    """
    kind = type(session)
    if kind not in _scoped:
        # Not isinstance, which would ask objects that answer by doing something.
        every = [each for each in gc.get_objects() if type(each) is scoped_session]
        _scoped[kind] = [weakref.ref(each) for each in every]
    found = []
    for each in [reference() for reference in _scoped[kind]]:
        with contextlib.suppress(Exception):  # outside of the scope that it goes by
            if each is not None and each.registry.has() and each.registry() is session:
                found.append((each, session))
    return found


def _is_expired(made: Any) -> bool:
    return bool(inspect(made).expired_attributes)
