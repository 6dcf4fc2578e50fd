"""Chooses what a row holds: required columns, parents, what is unique, what CHECKs ask for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import Column, types

from pgsandbox.factories import values
from pgsandbox.factories.common_types import enum_value, enum_values
from pgsandbox.factories.conditions import parse
from pgsandbox.factories.logic import PRESENT, Undecided, not_
from pgsandbox.factories.mapped_classes import Model, Parent, Unique, accepts, may_be_null
from pgsandbox.factories.satisfying import Cell, Row, others, satisfy
from pgsandbox.factories.value import Value, constant, text


class ValueChooser:
    """The choice for the rows of one class, which begins with that for its base."""

    def __init__(self, model: Model, inherited: Iterable[str], row: Row) -> None:
        self.model = model
        self.inherited = frozenset(inherited)
        """The attributes that the factory of the base takes care of."""
        self.row: Row = dict(row)
        self.columns = {key_of(column): (column, name) for column, name in model.attributes.items()}
        self.keys = [each for each in model.parents if self._is_own(each)]
        self.key_columns = {column for parent in self.keys for column in parent.columns}
        self.cells: dict[str, Cell] = {}
        self.lookup: tuple[str, ...] = ()
        """The attributes that rows are looked up by, where there can be few."""

    def choose(self) -> list[tuple[str, str]]:
        """Choose the row; return names and texts of the CHECKs that stay open."""
        self.row.update(self._start())
        self._make_unique()
        left = self._satisfy()
        self._get_what_repeats()
        return left

    def _is_own(self, parent: Parent) -> bool:
        names = {self.model.attributes[each] for each in parent.columns}
        return not names <= self.inherited

    def _start(self) -> Row:
        row: Row = {}
        for key, (column, name) in self.columns.items():
            if name in self.inherited and key in self.row:
                if self.model.is_of_the_mapper(column):
                    row[key] = self._of_mapper(column)
                continue
            row[key] = self._first_choice(column, name)
        for parent in self.keys:
            if self._is_needed(parent):
                row.update({key_of(column): PRESENT for column in parent.columns})
        return row

    def _first_choice(self, column: Column[Any], name: str) -> Any:
        if self.model.is_of_the_mapper(column):
            return self._of_mapper(column)
        if self.model.is_required(column):
            return self._value(column, name, is_unique=False)
        return self._default(column)

    def _value(self, column: Column[Any], name: str, *, is_unique: bool) -> Value:
        """Return a value that the class itself takes, too."""
        hint = self.model.hint(name)
        value = values.value_of(column, name, is_unique=is_unique, hint=hint)
        refusal = self.model.refusal(name, value.make(0))
        if refusal is None or isinstance(value.make(0), Undecided):
            return value
        for other in others(column.type):
            if self.model.refusal(name, other.make(0)) is None and (
                other.is_sequence or not is_unique
            ):
                return other
        return replace(value, note=f"{self.model.name} refuses this: {' '.join(refusal.split())}")

    def _of_mapper(self, column: Column[Any]) -> Any:
        identity = self.model.mapper.polymorphic_identity
        if column is self.model.mapper.version_id_col or identity is None:
            return PRESENT
        return constant("", identity)

    def _default(self, column: Column[Any]) -> Any:
        """Return what the column holds if nobody feeds it."""
        default: Any = column.default
        if default is not None:
            return constant("", default.arg) if default.is_scalar else PRESENT
        if self.model.is_made(column):
            made: Any = column.server_default
            text = getattr(made, "arg", None)
            if text is None or column.computed is not None or column.identity is not None:
                return PRESENT
            literal = text if isinstance(text, str) else str(text)
            if isinstance(text, str):
                return constant("", _typed(column, literal))
            value = parse(literal).evaluate({})
            return PRESENT if value is None else constant("", _typed(column, value))
        # A joined table's key is copied from the one above it.
        return None if may_be_null(column) else PRESENT

    def _make_unique(self) -> None:
        for unique in self.model.unique:
            group = unique.columns
            is_mapped = all(column in self.model.attributes for column in group)
            if is_mapped and self._repeats(group) and not self._is_outside(unique):
                self._make_one_count(group)

    def _get_what_repeats(self) -> None:
        """Let the factory return the row that is there, where there can't be many."""
        for unique in self.model.unique:
            group = unique.columns
            choices = [self.row.get(key_of(column)) for column in group]
            is_known = all(isinstance(each, Value) for each in choices)
            is_mapped = all(column in self.model.attributes for column in group)
            if not (is_known and is_mapped and self._repeats(group)) or self._is_outside(unique):
                continue
            for column, choice in zip(group, choices, strict=True):
                if isinstance(choice, Value) and not choice.code:
                    literal = _literal(column, choice.make(0))
                    if literal is None:
                        break
                    self.row[key_of(column)] = literal
            else:
                names = tuple(self.model.attributes[column] for column in group)
                self.lookup = self.lookup or names

    def _is_outside(self, unique: Unique) -> bool:
        """Keep the row out of a partial index, and say whether that was possible."""
        if unique.where is None:
            return False
        inside = unique.where
        outside = replace(inside, evaluate=lambda env: not_(inside.evaluate(env)))
        row = dict(self.row)
        if satisfy([outside], self._cells(), row):
            return False
        self.row = row
        return True

    def _repeats(self, group: tuple[Column[Any], ...]) -> bool:
        for column in group:
            choice = self.row.get(key_of(column))
            if choice is None or choice is PRESENT:
                return False  # NULL, a new parent, or what the server or a callable makes
            if isinstance(choice, Value) and choice.is_sequence and _has_many(column):
                return False
        return True

    def _make_one_count(self, group: tuple[Column[Any], ...]) -> None:
        free = [each for each in group if each not in self.key_columns and not self._fixed(each)]
        free.sort(key=lambda each: not _has_many(each))
        for column in free:
            name = self.model.attributes[column]
            value = self._value(column, name, is_unique=True)
            if value.is_sequence:
                self.row[key_of(column)] = value
                return

    def _fixed(self, column: Column[Any]) -> bool:
        is_server = column.computed is not None or column.identity is not None
        return is_server or self.model.is_of_the_mapper(column)

    def _satisfy(self) -> list[tuple[str, str]]:
        conditions = [each for _, _, each in self.model.conditions]
        self.cells = self._cells()
        left = satisfy(conditions, self.cells, self.row)
        names = {condition: name for name, _, condition in self.model.conditions}
        return [
            (names[each], each.text)
            for each in left
            if any(self._is_chosen(key) for key in each.columns)
        ]

    def _cells(self) -> dict[str, Cell]:
        unique = {column for each in self.model.unique for column in each.columns}
        return {
            key: Cell(
                column,
                name,
                column in unique and self._is_sequence(key),
                column in self.key_columns or bool(column.foreign_keys),
                self._fixed(column) or not accepts(self.model.cls, name),
            )
            for key, (column, name) in self.columns.items()
        }

    def _is_sequence(self, key: str) -> bool:
        choice = self.row.get(key)
        return isinstance(choice, Value) and choice.is_sequence

    def _is_chosen(self, key: str) -> bool:
        choice = self.row.get(key)
        is_own = key in self.columns and self.columns[key][1] not in self.inherited
        return is_own and isinstance(choice, Value) and bool(choice.code)

    def _is_needed(self, parent: Parent) -> bool:
        return all(
            not may_be_null(column) and not self._is_server_key(column) for column in parent.columns
        )

    def _is_server_key(self, column: Column[Any]) -> bool:
        return column.computed is not None or column.identity is not None


def key_of(column: Column[Any]) -> str:
    """Return how a row calls *column*."""
    return column.name


def _has_many(column: Column[Any]) -> bool:
    return not isinstance(column.type, types.Enum | types.Boolean)


def _literal(column: Column[Any], value: Any) -> Value | None:
    """Return a default as code."""
    if isinstance(column.type, types.Enum):
        return enum_value(column.type, value)
    if isinstance(value, str):
        return constant(text(value), value)
    return constant(repr(value), value) if isinstance(value, bool | int) else None


def _typed(column: Column[Any], value: Any) -> Any:
    """Return what a literal default is in a column of this type."""
    kind = column.type
    if not isinstance(value, str):
        return value
    if isinstance(kind, types.Boolean):
        return value.lower() in {"t", "true", "1", "yes", "on"}
    if isinstance(kind, types.Integer):
        return int(value) if value.lstrip("-").isdigit() else PRESENT
    if isinstance(kind, types.Enum):
        return dict(enum_values(kind)).get(value, value)
    return value if isinstance(kind, types.String) else PRESENT
