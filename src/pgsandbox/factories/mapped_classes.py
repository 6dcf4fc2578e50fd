"""What the mapped classes of a project say: columns, parents, what is unique, what is checked."""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy
from sqlalchemy import CheckConstraint, Column, Index, MetaData, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import DOMAIN, ExcludeConstraint
from sqlalchemy.orm import (
    ColumnProperty,
    Mapper,
    RelationshipDirection,
    RelationshipProperty,
    configure_mappers,
    mapperlib,
)
from sqlalchemy.sql import visitors

from pgsandbox.factories.conditions import Condition, parse


def models_of(metadatas: Collection[MetaData]) -> list[Model]:
    """Return the classes that are mapped to tables of *metadatas*, by module and name.

    Classes whose objects don't come from a table alone are left out: those mapped to a query, and
    those that another class of the same name in their module has replaced.
    """
    configure_mappers()
    found: list[Model] = []
    # The registries are known to SQLAlchemy alone: a project may have several for one MetaData.
    for registry in mapperlib._all_registries():
        for mapper in registry.mappers:
            table = mapper.local_table
            if isinstance(table, Table) and table.metadata in metadatas:
                found.append(Model(mapper))
    return sorted((each for each in found if each.is_importable), key=lambda each: each.place)


@dataclass(frozen=True)
class Parent:
    """What a foreign key leads to."""

    columns: tuple[Column[Any], ...]
    """The columns of the key."""
    remote: tuple[Column[Any], ...]
    """The columns that they lead to, in the same order."""
    relationship: str | None
    """The attribute to give the parent to; None where there is none and the columns are fed."""
    model: Model | None
    """The class of the parent; None where its table has none."""


@dataclass(frozen=True)
class Unique:
    """Columns whose values no two rows share."""

    columns: tuple[Column[Any], ...]
    where: Condition | None = None
    """Which rows; None for all."""


class Model:
    """One mapped class."""

    def __init__(self, mapper: Mapper[Any]) -> None:
        self.mapper = mapper
        self.cls: type = mapper.class_
        self.name = self.cls.__name__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and other.mapper is self.mapper

    def __hash__(self) -> int:
        return hash(self.mapper)

    @property
    def place(self) -> tuple[str, str]:
        """The module and the name of the class."""
        return self.cls.__module__, self.cls.__qualname__

    @property
    def is_importable(self) -> bool:
        """Whether the class is what its module has under its name."""
        found: Any = sys.modules.get(self.cls.__module__)
        for name in self.cls.__qualname__.split("."):
            found = getattr(found, name, None)
        return found is self.cls

    @property
    def is_abstract(self) -> bool:
        """Whether only its subclasses have rows."""
        mapper = self.mapper
        if mapper.polymorphic_abstract:
            return True
        has_subclasses = len(list(mapper.self_and_descendants)) > 1
        has_identity = mapper.polymorphic_identity is not None
        return mapper.polymorphic_on is not None and not has_identity and has_subclasses

    @cached_property
    def base(self) -> Model | None:
        """The mapped class that it inherits from."""
        return Model(self.mapper.inherits) if self.mapper.inherits is not None else None

    @cached_property
    def tables(self) -> list[Table]:
        """The tables of an object, its own last."""
        return [each for each in self.mapper.tables if isinstance(each, Table)]

    # -- columns ------------------------------------------------------------------------------

    @cached_property
    def attributes(self) -> dict[Column[Any], str]:
        """The attribute of each column, in the order of the tables."""
        found = {}
        for prop in self.mapper.column_attrs:
            for column in prop.columns:
                if isinstance(column, Column):
                    found[column] = prop.key
        order = {column: at for at, column in enumerate(c for t in self.tables for c in t.columns)}
        return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))

    def hint(self, name: str) -> type | None:
        """Return the class that the attribute *name* is annotated with, as ``Mapped[Money]``."""
        try:
            hints = typing.get_type_hints(self.cls)
        except Exception:  # noqa: BLE001 - names that only a type checker imports
            return None
        arguments = typing.get_args(hints.get(name))
        inner = (
            [each for each in typing.get_args(arguments[0]) or arguments if each]
            if arguments
            else []
        )
        return inner[0] if inner and isinstance(inner[0], type) else None

    def refusal(self, name: str, value: Any) -> str | None:
        """Return what the class says against *value* in the attribute *name*, or None.

        Its validators and listeners see an object that nobody keeps.
        """
        made = self.mapper.class_manager.new_instance()
        try:
            setattr(made, name, value)
        except Exception as error:  # noqa: BLE001 - the project's code, which may refuse by any error
            return f"{type(error).__name__}: {error}"
        return None

    def refused_arguments(self, given: dict[str, Any]) -> str | None:
        """Return what the constructor says against *given*, or None."""
        try:
            self.cls(**given)
        except Exception as error:  # noqa: BLE001 - the project's code, which may refuse by any error
            return " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return None

    def is_required(self, column: Column[Any]) -> bool:
        """Whether a row needs a value for *column* that nothing but the factory gives."""
        if may_be_null(column) or column.default is not None or self.is_made(column):
            return False
        prop = self.mapper.get_property_by_column(column)
        assert isinstance(prop, ColumnProperty)
        # The key of a joined table is copied from the table above it.
        return column is prop.columns[-1]

    def is_made(self, column: Column[Any]) -> bool:
        """Whether the server or the mapper makes the value of *column*."""
        if column.server_default is not None or column.computed is not None:
            return True
        if column.identity is not None or column is _table(column).autoincrement_column:
            return True
        return self.is_of_the_mapper(column)

    def is_of_the_mapper(self, column: Column[Any]) -> bool:
        """Whether the mapper writes *column*, so that nobody else should."""
        if column is self.mapper.version_id_col:
            return True
        on: Any = self.mapper.polymorphic_on
        if on is None or not self._has_identity:
            return False
        return column is on or (isinstance(on, Column) and on.name == column.name)

    @property
    def _has_identity(self) -> bool:
        return self.mapper.polymorphic_identity is not None or self.is_abstract

    # -- parents ------------------------------------------------------------------------------

    @cached_property
    def parents(self) -> list[Parent]:
        """The foreign keys, each with the relationship that sets it, if there is one."""
        return [self._parent(*pairs) for pairs in self._foreign_keys()]

    def _foreign_keys(self) -> Iterator[tuple[tuple[Column[Any], ...], tuple[Column[Any], ...]]]:
        for table in self.tables:
            constraints = sorted(
                table.foreign_key_constraints, key=lambda each: [c.name for c in each.columns]
            )
            for constraint in constraints:
                local = tuple(constraint.columns)
                try:
                    remote = tuple(element.column for element in constraint.elements)
                except sqlalchemy.exc.SQLAlchemyError:
                    continue  # its table is not in this MetaData
                mapped = all(each in self.attributes for each in local)
                if mapped and not self._is_inherited(local, remote):
                    yield local, remote

    def _is_inherited(
        self, local: tuple[Column[Any], ...], remote: tuple[Column[Any], ...]
    ) -> bool:
        attributes = self.attributes
        return all(
            there in attributes and attributes[here] == attributes[there] and here is not there
            for here, there in zip(local, remote, strict=True)
        )

    def _parent(self, local: tuple[Column[Any], ...], remote: tuple[Column[Any], ...]) -> Parent:
        for relationship in sorted(self.mapper.relationships, key=lambda each: each.key):
            if _leads(relationship, local, remote) and accepts(self.cls, relationship.key):
                return Parent(local, remote, relationship.key, Model(relationship.mapper))
        return Parent(local, remote, None, self._model_with(remote[0].table))

    def _model_with(self, table: Any) -> Model | None:
        mappers = [
            mapper
            for registry in mapperlib._all_registries()
            for mapper in registry.mappers
            if mapper.local_table is table
        ]
        # A class of its own before those that share its table.
        mappers.sort(key=lambda each: (each.inherits is not None, each.class_.__qualname__))
        return Model(mappers[0]) if mappers else None

    # -- constraints --------------------------------------------------------------------------

    @cached_property
    def unique(self) -> list[Unique]:
        """What no two rows share: primary keys, unique and exclusion constraints, indexes."""
        found: list[Unique] = []
        for table in self.tables:
            found.append(Unique(tuple(table.primary_key.columns)))
            for constraint in table.constraints:
                if isinstance(constraint, UniqueConstraint | ExcludeConstraint):
                    found += [Unique(tuple(constraint.columns))]
            for index in table.indexes:
                if index.unique:
                    where = index.dialect_options["postgresql"]["where"]
                    condition = None if where is None else parse(_sql(where))
                    found.append(Unique(tuple(_columns_in(index)), condition))
        unique = {(each.columns, each.where and each.where.text): each for each in found}
        return sorted(
            (each for each in unique.values() if each.columns),
            key=lambda each: (len(each.columns), [column.name for column in each.columns]),
        )

    @cached_property
    def single_row(self) -> str | None:
        """The name of a unique index over a constant, which lets one row be there."""
        for table in self.tables:
            for index in sorted(table.indexes, key=lambda each: str(each.name)):
                if index.unique and not list(_columns_in(index)):
                    return str(index.name)
        return None

    @cached_property
    def conditions(self) -> list[tuple[str, Table, Condition]]:
        """The CHECK constraints with their names, those of domains included."""
        found = []
        for table in self.tables:
            own = [each for column in table.columns for each in column.constraints]
            for constraint in [*table.constraints, *own]:
                if isinstance(constraint, CheckConstraint) and not _is_of_a_type(constraint):
                    text = _sql(constraint.sqltext)
                    found.append((str(constraint.name or ""), table, parse(text)))
            for column in table.columns:
                if isinstance(column.type, DOMAIN) and column.type.check is not None:
                    quoted = '"' + column.name.replace('"', '""') + '"'
                    text = _VALUE.sub(quoted, _sql(column.type.check))
                    found.append((str(column.type.name), table, parse(text)))
        return sorted(found, key=lambda each: (each[0], each[2].text))


def may_be_null(column: Column[Any]) -> bool:
    """Say whether the server takes NULL; in a primary key it never does."""
    return bool(column.nullable) and not column.primary_key


def _table(column: Column[Any]) -> Table:
    table = column.table
    assert isinstance(table, Table)
    return table


def _leads(
    relationship: RelationshipProperty[Any],
    local: tuple[Column[Any], ...],
    remote: tuple[Column[Any], ...],
) -> bool:
    if relationship.direction is not RelationshipDirection.MANYTOONE or relationship.viewonly:
        return False
    if relationship.uselist or relationship.secondary is not None:
        return False
    pairs = set(relationship.local_remote_pairs or ())
    return pairs == set(zip(local, remote, strict=True))


def _columns_in(index: Index) -> Iterator[Column[Any]]:
    """Yield the columns of an index, also those that only its text names."""
    table: Any = index.table
    expressions: list[Any] = list(index.expressions)
    for expression in expressions:
        found = [each for each in visitors.iterate(expression) if isinstance(each, Column)]
        yield from found
        if not found:
            named = parse(_sql(expression)).columns
            yield from (each for each in table.columns if each.name in named)


def _is_of_a_type(constraint: CheckConstraint) -> bool:
    # An Enum or a Boolean makes it, and the type's own values satisfy it.
    return bool(getattr(constraint, "_type_bound", False))


_VALUE = re.compile(r"\bVALUE\b", re.IGNORECASE)


def _sql(expression: Any) -> str:
    if not isinstance(expression, sqlalchemy.ClauseElement):
        return str(expression)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    try:
        compiled = expression.compile(
            dialect=dialect, compile_kwargs={"literal_binds": True, "include_table": False}
        )
    except (sqlalchemy.exc.SQLAlchemyError, NotImplementedError):
        return str(expression)
    return str(compiled).replace("%%", "%")


# -- constructors -------------------------------------------------------------------------------


def accepts(cls: type, name: str) -> bool:
    """Say whether the constructor of *cls* takes an argument *name*."""
    parameters = constructor_parameters(cls)
    if parameters is None:
        return True
    return name in parameters


def constructor_parameters(cls: type) -> dict[str, inspect.Parameter] | None:
    """Return what the constructor of *cls* takes; None if it takes any name."""
    constructor: Callable[..., Any] = _constructor_of(cls)
    try:
        parameters = inspect.signature(constructor).parameters
    except (TypeError, ValueError):
        return None
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return None
    return dict(list(parameters.items())[1:])


def _constructor_of(cls: Any) -> Any:
    """Return the constructor of *cls*."""
    return cls.__init__


def is_plain(cls: type) -> bool:
    """Say whether the constructor of *cls* is the one that SQLAlchemy gives a declarative class."""
    constructor = _constructor_of(cls)
    original = getattr(constructor, "_sa_original_init", constructor)
    return str(getattr(original, "__module__", "")).startswith("sqlalchemy.orm")
