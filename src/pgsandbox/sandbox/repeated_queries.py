"""The query per row: one line of the application that sends the same statement again and again.

SQLAlchemy's own events say what is sent and why: ``before_cursor_execute`` has statement and
parameters, ``do_orm_execute`` knows of a lazy load which relationship it is for. Statements are
counted by their shape, by the line and by the transaction: a test that asks for one page twenty
times does so in twenty transactions, and that is no query per row.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.orm import ORMExecuteState, RelationshipProperty, Session

from pgsandbox.errors import Fact, QueryPerRow
from pgsandbox.sandbox import call_sites
from pgsandbox.sandbox.shapes import shape_of

_KEPT = 6
"""Parameters that are remembered of one repeated statement."""
_LOAD = "pgsandbox_load"
"""The execution option by which a lazy load tells what it is for."""


@dataclass(frozen=True)
class Load:
    """Why SQLAlchemy itself has sent a statement."""

    name: str
    """The relationship, as ``Order.customer``; empty where expired columns were read."""
    option: str = ""
    """The loader option that would fetch it at once."""


@dataclass(eq=False)
class Repeated:
    """One statement that one line has sent in one transaction."""

    statement: str
    """Its text, as it was sent first."""
    place: str
    """The line of the application."""
    load: Load | None
    """Why SQLAlchemy has sent it; None if the application did itself."""
    count: int = 0
    """How often it was sent."""
    parameters: list[Any] = field(default_factory=list)
    """What it was sent with at first."""

    def as_error(self, test: str, limit: int, source: str) -> QueryPerRow:
        """Return what tells of it."""
        facts = [Fact("statement", " ".join(self.statement.split()))]
        facts += [Fact(f"{name} was", values) for name, values in self._differing()]
        if self.load is not None and self.load.name:
            facts.append(Fact("lazy load of", self.load.name))
        facts += [Fact("test", test), Fact("repeated-queries", f"from {limit} times on", source)]
        return QueryPerRow(
            f"{self.place} sent the same statement {self.count} times in one transaction.",
            facts=facts,
            remedy=self._remedy(),
        )

    @property
    def in_short(self) -> str:
        """What it is, without how often it was sent."""
        if self.load is None or not self.load.name:
            return self.place
        return f"{self.place}, lazy load of {self.load.name}, .options({self.load.option})"

    def _remedy(self) -> str:
        if self.load is None:
            return "Ask once for all rows: with a join, or with IN and a list of values."
        if not self.load.name:
            return (
                "A commit has expired the objects, and each is read again by itself. Read them by "
                "one query after the commit, or make the session with expire_on_commit=False."
            )
        return f"Fetch it with the rows that it belongs to: .options({self.load.option})."

    def _differing(self) -> Iterator[tuple[str, str]]:
        sent = [_named(each) for each in self.parameters]
        for name in sent[0] if sent else ():
            values = [each.get(name) for each in sent]
            if any(each != values[0] for each in values[1:]):
                more = ", ..." if self.count > len(values) else ""
                yield name, ", ".join(_short(each) for each in values) + more


class RepetitionWatch:
    """Counts what each line of the application sends while a test runs."""

    def __init__(self, is_arranging: Callable[[Dialect], bool]) -> None:
        self._is_arranging = is_arranging
        self._limit = 0
        self._groups: dict[tuple[str, str, Any], Repeated] = {}
        self._is_installed = False
        self._transactions: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._number = 0

    def begin(self, limit: int) -> None:
        """Count anew, and report what is sent *limit* times; 0 counts nothing."""
        self._limit = limit
        self._groups.clear()
        if limit and not self._is_installed:
            event.listen(Engine, "before_cursor_execute", self._executing)
            event.listen(Session, "do_orm_execute", _tell_load)
            self._is_installed = True

    def take(self) -> list[Repeated]:
        """Return what was repeated too often, the most frequent first, and count no more."""
        limit, self._limit = self._limit, 0
        found = [each for each in self._groups.values() if limit and each.count >= limit]
        self._groups.clear()
        worst: dict[tuple[str, str], Repeated] = {}
        for each in sorted(found, key=lambda each: -each.count):
            worst.setdefault((shape_of(each.statement), each.place), each)
        return list(worst.values())

    def remove(self) -> None:
        """Leave SQLAlchemy alone again."""
        if self._is_installed:
            event.remove(Engine, "before_cursor_execute", self._executing)
            event.remove(Session, "do_orm_execute", _tell_load)
            self._is_installed = False

    def _executing(
        self,
        connection: Connection,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        executemany: bool,
    ) -> None:
        if not self._limit or self._is_arranging(connection.dialect):
            return
        place = call_sites.place()
        if not is_of_the_application(place):
            return
        key = (shape_of(statement), place, self._transaction_of(connection))
        found = self._groups.get(key)
        if found is None:
            load = context.execution_options.get(_LOAD) if context is not None else None
            found = self._groups[key] = Repeated(statement, place, load)
        found.count += 1
        if len(found.parameters) < _KEPT:
            found.parameters.append(parameters)

    def _transaction_of(self, connection: Connection) -> int:
        """Return the number of its transaction: an object that is gone gives its identity away."""
        transaction = connection.get_transaction()
        if transaction is None:
            return 0
        number = self._transactions.get(transaction)
        if number is None:
            self._number += 1
            number = self._transactions[transaction] = self._number
        return number


def is_of_the_application(place: str) -> bool:
    """Whether *place* is the application's, and no test's with what that arranges by.

    An Alembic environment reads the catalog table by table, and is none of it either.
    """
    path = PurePath(place.rpartition(":")[0])
    is_named = path.stem == "env" or call_sites.is_named_as_test(path.name)
    return bool(path.suffix) and not is_named and _TESTS.isdisjoint(path.parts[:-1])


_TESTS = frozenset({"tests", "test"})


def _tell_load(state: ORMExecuteState) -> None:
    """Let a statement that SQLAlchemy sends for a lazy load say so: ``do_orm_execute``."""
    if state.is_relationship_load and state.lazy_loaded_from is not None:
        load = _load_of(state.loader_strategy_path)
    elif state.is_column_load:
        load = Load("")
    else:
        return
    state.update_execution_options(**{_LOAD: load})


def _load_of(path: Any) -> Load:
    """Return the relationship at the end of *path*, and the options that lead there."""
    steps = [each for each in path.path if isinstance(each, RelationshipProperty)]
    names = [f"{each.parent.class_.__name__}.{each.key}" for each in steps]
    options = [
        f"{'selectinload' if each.uselist else 'joinedload'}({name})"
        for each, name in zip(steps, names, strict=True)
    ]
    return Load(names[-1], ".".join(options))


def _named(parameters: Any) -> Mapping[str, Any]:
    if isinstance(parameters, Mapping):
        return parameters
    if isinstance(parameters, Sequence) and not isinstance(parameters, str):
        return {f"${number}": each for number, each in enumerate(parameters, 1)}
    return {}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
