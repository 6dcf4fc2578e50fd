"""Makes the objects of factories in a database, each try undone, and says what went wrong."""

# Factory Boy announces types and annotates next to none of its functions.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy
from factory import declarations as parameters
from sqlalchemy import Column, Connection, types
from sqlalchemy.orm import Session

from pgsandbox.factories import running
from pgsandbox.factories.base import Factory
from pgsandbox.factories.findings import finding
from pgsandbox.factories.mapped_classes import Model
from pgsandbox.factories.refusals import (
    CURES,
    EXCLUSION,
    NOT_NULL,
    UNIQUE,
    Refusal,
    attributes_of,
    refusal_of,
)
from pgsandbox.reports import Finding

_SEED = "pgsandbox factories check"


@dataclass
class TrialConnections:
    """Where objects are made: connections in a transaction that somebody else rolls back."""

    connection: Connection
    """To the project's own database."""
    binds: Mapping[Any, Connection] = field(default_factory=dict)
    """For tables that are in another one."""

    @contextlib.contextmanager
    def trial(self) -> Iterator[Session]:
        """Give a session whose work, commits included, is undone at the end."""
        with self.kept() as (session, keep):
            del keep
            yield session

    @contextlib.contextmanager
    def kept(self) -> Iterator[tuple[Session, Callable[[], None]]]:
        """Give such a session, and a function that says that its work is to stay."""
        connections = list(dict.fromkeys([self.connection, *self.binds.values()]))
        savepoints = [each.begin_nested() for each in connections]
        session = Session(
            self.connection, binds=dict(self.binds), join_transaction_mode="create_savepoint"
        )
        is_kept: list[bool] = []
        try:
            yield session, lambda: is_kept.append(True)
        finally:
            if is_kept:
                session.commit()
            with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError):
                session.close()
            for savepoint in savepoints:
                if is_kept:
                    savepoint.commit()
                else:
                    savepoint.rollback()

    def complete(self, session: Session) -> None:
        """Write what is not written, and let deferred constraints be checked."""
        session.flush()
        for connection in dict.fromkeys([self.connection, *self.binds.values()]):
            connection.execute(sqlalchemy.text("SET CONSTRAINTS ALL IMMEDIATE"))
            connection.execute(sqlalchemy.text("SET CONSTRAINTS ALL DEFERRED"))


@dataclass(frozen=True)
class Tried:
    """A factory to try."""

    factory: type[Factory[Any]]
    model: Model
    unfed: tuple[str, ...] = ()
    """The attributes of required columns that it declares nothing for."""


def try_all(tried: Sequence[Tried], bench: TrialConnections, root: Path) -> Iterator[Finding]:
    """Yield what goes wrong where each factory is tried alone, and then all together."""
    good = []
    for each in tried:
        found = list(_Trial(each, bench, root).alone())
        if not any(one.code in _STOPS for one in found):
            good.append(each)
        yield from found
    told: set[type] = set()
    for ordered in (good, good[::-1]):
        yield from _together(ordered, bench, root, told)


_STOPS = frozenset({"not-persisted", "not-fed", "not-twice", "repeated"})


def _together(
    tried: Sequence[Tried], bench: TrialConnections, root: Path, told: set[type]
) -> Iterator[Finding]:
    running.begin_test(_SEED)
    with bench.trial():
        for each in tried:
            refusal = _written_after_others(each, bench)
            if refusal is None or each.factory in told:
                continue
            told.add(each.factory)
            yield finding(
                "depends-on-others",
                f"{each.factory.__name__} fails once other factories have written.",
                each.factory,
                root=root,
                field=_field_of(each, refusal),
                details={"refusal": refusal.said},
                remedy="Two factories write the same value into a unique column: let one extend "
                "the other, so that they count together, or give each its own prefix.",
            )


def _written_after_others(tried: Tried, bench: TrialConnections) -> Refusal | None:
    with bench.kept() as (session, keep):
        try:
            tried.factory(_session=session)
            bench.complete(session)
        except Exception as error:  # noqa: BLE001 - the project's code, which may fail anyhow
            refusal = refusal_of(error)
            by_design = refusal.constraint == tried.model.single_row
            return None if refusal.constraint and by_design else refusal
        keep()
    return None


class _Trial:
    """One factory, tried alone."""

    def __init__(self, tried: Tried, bench: TrialConnections, root: Path) -> None:
        self.tried = tried
        self.factory = tried.factory
        self.model = tried.model
        self.bench = bench
        self.root = root

    def alone(self) -> Iterator[Finding]:
        """Yield what goes wrong with one object, two, a batch, each enum value, each trait."""
        first, naive = self._first()
        if first is not None:
            yield from self._not_persisted(first)
            return
        yield from (self._naive(*each) for each in naive)
        again = self._refused(lambda s: (self._make(s), self._make(s)))
        batch = again or self._refused(lambda s: self.factory.create_batch(3, _session=s))
        is_by_design = batch is not None and batch.constraint == (self.model.single_row or None)
        if batch is not None and not is_by_design:
            yield self._not_twice(batch, "The second object" if again else "A batch of three")
        traits = {name: self._refused(self._with(name, True)) for name in self._traits()}
        for name, refusal in traits.items():
            if refusal is not None:
                yield self._finding(
                    "trait",
                    f"{self.factory.__name__}({name}=True) can't be written.",
                    name,
                    refusal,
                    "Let the trait set everything that has to change together.",
                )
        yield from self._enums([name for name, refusal in traits.items() if refusal is None])

    def _make(self, session: Session, **given: Any) -> Any:
        return self.factory(_session=session, **given)

    def _refused(self, make: Callable[[Session], Any]) -> Refusal | None:
        running.begin_test(_SEED)
        with self.bench.trial() as session:
            try:
                make(session)
                self.bench.complete(session)
            except Exception as error:  # noqa: BLE001 - the project's code, which may fail anyhow
                return refusal_of(error)
        return None

    def _first(self) -> tuple[Refusal | None, list[tuple[str, str]]]:
        naive: list[tuple[str, str]] = []

        def make(session: Session) -> None:
            naive.extend(self._naive_in(self._make(session)))

        return self._refused(make), naive

    # -- what each finding says ---------------------------------------------------------------

    def _finding(
        self, code: str, message: str, name: str | None, refusal: Refusal, remedy: str
    ) -> Finding:
        return finding(
            code,
            message,
            self.factory,
            root=self.root,
            field=name,
            details={"refusal": refusal.said},
            remedy=remedy,
        )

    def _not_persisted(self, refusal: Refusal) -> Iterator[Finding]:
        missing = list(self.tried.unfed)
        if refusal.state == NOT_NULL:
            column = _attribute(self.model, refusal)
            is_own = any(table.name == refusal.table for table in self.model.tables)
            if column and is_own and column not in missing:
                missing.append(column)
        for name in missing:
            yield self._finding(
                "not-fed",
                f"{self.model.name}.{name} needs a value, and {self.factory.__name__} gives none.",
                name,
                refusal,
                f"Declare {name} in the factory, or the parent that it refers to.",
            )
        if missing and refusal.state in {NOT_NULL, ""}:
            return
        yield self._finding(
            "not-persisted",
            f"{self.factory.__name__}() can't be written.",
            _field_of(self.tried, refusal),
            refusal,
            CURES.get(refusal.state, "Correct what the factory declares."),
        )

    def _not_twice(self, refusal: Refusal, what: str) -> Finding:
        name = _field_of(self.tried, refusal)
        if refusal.state in {UNIQUE, EXCLUSION}:
            return self._finding(
                "repeated",
                f"{what} of {self.factory.__name__} repeats a value that has to be unique.",
                name,
                refusal,
                f"Feed {name or 'the column'} from factory.Sequence.",
            )
        return self._finding(
            "not-twice",
            f"{what} of {self.factory.__name__} can't be written.",
            name,
            refusal,
            CURES.get(refusal.state, "Correct what the factory declares."),
        )

    def _naive_in(self, made: Any) -> Iterator[tuple[str, str]]:
        for column, name in self.model.attributes.items():
            if isinstance(column.type, types.DateTime) and column.type.timezone:
                value = getattr(made, name, None)
                if isinstance(value, dt.datetime) and value.tzinfo is None:
                    yield name, repr(value)

    def _naive(self, name: str, value: str) -> Finding:
        meta = self.factory._meta
        is_declared = name in meta.declarations or name in rename_of(self.factory).values()
        where = "the factory's value" if is_declared else "the model's default"
        return finding(
            "naive-time",
            f"{self.model.name}.{name} has a time zone, and {where} has none.",
            self.factory if is_declared else self.model.cls,
            root=self.root,
            field=name,
            details={"value": value},
            remedy="Write datetime.now(UTC), or tzinfo=UTC: without a zone the server takes the "
            "time for one of the session's own zone.",
        )

    # -- enums and traits ---------------------------------------------------------------------

    def _traits(self) -> list[str]:
        return [
            name
            for name, parameter in self.factory._meta.parameters.items()
            if isinstance(parameter, parameters.Trait)
        ]

    def _enums(self, traits: list[str]) -> Iterator[Finding]:
        for column, name in self.model.attributes.items():
            kind = column.type
            if isinstance(kind, types.Enum) and not self.model.is_of_the_mapper(column):
                yield from self._enum(column, kind, name, traits)

    def _enum(
        self, column: Column[Any], kind: types.Enum, name: str, traits: list[str]
    ) -> Iterator[Finding]:
        if column.computed is not None or column.foreign_keys:
            return
        given = {attribute: own for own, attribute in rename_of(self.factory).items()}
        if kind.enum_class is not None:
            members: list[Any] = list(dict.fromkeys(kind.enum_class.__members__.values()))
        else:
            members = list(kind.enums)
        for member in members:
            field_name = given.get(name, name)
            if self.model.refusal(name, member) is not None:
                continue  # the class itself says that it does not go
            refusal = self._refused(self._with(field_name, member))
            if refusal is not None and not self._some_trait_gives(traits, name, member):
                yield self._finding(
                    "enum-value",
                    f"{self.factory.__name__}({field_name}={_shown(member)}) can't be written.",
                    name,
                    refusal,
                    "Write a trait that sets what goes with this value, or let the other fields "
                    "follow it by factory.LazyAttribute.",
                )

    def _with(self, name: str, value: Any) -> Callable[[Session], Any]:
        return lambda session: self._make(session, **{name: value})

    def _some_trait_gives(self, traits: list[str], name: str, member: Any) -> bool:
        for trait in traits:
            with self.bench.trial() as session, contextlib.suppress(Exception):
                if getattr(self._make(session, **{trait: True}), name) == member:
                    return True
        return False


def _shown(member: Any) -> str:
    name = getattr(member, "name", None)
    return f"{type(member).__name__}.{name}" if name is not None else repr(member)


def _attribute(model: Model, refusal: Refusal) -> str | None:
    for column, name in model.attributes.items():
        if column.name == refusal.column:
            return name
    return None


def _field_of(tried: Tried, refusal: Refusal) -> str | None:
    """Return the declaration that feeds a column which the refusal is about."""
    declared = tried.factory._meta.declarations
    named = {attribute: own for own, attribute in rename_of(tried.factory).items()}
    for name in attributes_of(tried.model, refusal):
        if named.get(name, name) in declared:
            return named.get(name, name)
    return None


def rename_of(of: Any) -> dict[str, str]:
    """Return the arguments of a factory's declarations that bear another name."""
    renamed: dict[str, str] = of._meta.rename
    return renamed
