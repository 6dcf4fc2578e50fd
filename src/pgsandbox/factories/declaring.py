"""Declares what a factory gives to the columns of a row."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from sqlalchemy import types

from pgsandbox.factories.choosing import key_of
from pgsandbox.factories.common_types import enum_value, enum_values
from pgsandbox.factories.conditions import parse
from pgsandbox.factories.mapped_classes import accepts, constructor_parameters, is_plain
from pgsandbox.factories.parents import Parents
from pgsandbox.factories.plans import Declaration
from pgsandbox.factories.satisfying import satisfy
from pgsandbox.factories.value import Value


class FieldDeclarer(Parents):
    """The work on one plan."""

    def fill(self) -> None:
        """Choose a row, and declare what came of it."""
        left = self.choose()
        self._declare_parents()
        self._declare_values()
        self._declare_what_the_constructor_needs()
        self._declare_traits()
        self._note_constructor()
        for named in left:
            self._note_condition(named)
        order = {column: place for place, column in enumerate(self.model.attributes)}
        in_order = sorted(self.found, key=lambda each: order[each])
        own = [self.found[column] for column in in_order]
        self.plan.declarations[:0] = own
        self.plan.keys = self.lookup
        self.plan.row = self.row

    def _declare_values(self) -> None:
        for key, (column, name) in self.columns.items():
            choice = self.row.get(key)
            if not isinstance(choice, Value) or not choice.code or column in self.found:
                continue
            if name in self.inherited and self.plan.base and self.plan.base.row.get(key) is choice:
                continue
            notes = (choice.note,) if choice.note else ()
            if not accepts(self.model.cls, name):
                notes = (*notes, f"The constructor of {self.model.name} takes no {name}.")
            self.found[column] = Declaration(
                self.field_for(name), _code(choice), choice.imports, notes
            )

    def _declare_what_the_constructor_needs(self) -> None:
        parameters = constructor_parameters(self.model.cls)
        if parameters is None:
            return
        declared = {self.plan.rename.get(each.name, each.name) for each in self.found.values()}
        collections = {each.key for each in self.model.mapper.relationships if each.uselist}
        attributes = {*self.model.attributes.values(), *self.model.mapper.relationships.keys()}
        for name, parameter in parameters.items():
            is_given = parameter.default is not parameter.empty or name in declared
            if is_given or parameter.kind is parameter.VAR_POSITIONAL:
                continue
            code = "factory.LazyFunction(list)" if name in collections else "None"
            notes = () if name in attributes else (f"The constructor asks for {name}.",)
            self.plan.declarations.append(Declaration(self.field_for(name), code, notes=notes))

    def _declare_traits(self) -> None:
        """Let a trait stand for each value of an enum that other columns have to follow."""
        conditions = [each for _, _, each in self.model.conditions]
        for key, (column, name) in self.columns.items():
            is_free = not self.cells[key].is_fixed and not column.foreign_keys
            if isinstance(column.type, types.Enum) and is_free and conditions:
                for _, member in enum_values(column.type):
                    self._declare_trait(key, name, enum_value(column.type, member))

    def _declare_trait(self, key: str, name: str, value: Value) -> None:
        conditions = [each for _, _, each in self.model.conditions]
        cells = {**self.cells, key: replace(self.cells[key], is_fixed=True)}
        row = {**self.row, key: value}
        satisfy(conditions, cells, row)
        changed = [each for each in row if each != key and row[each] is not self.row.get(each)]
        if not changed:
            return
        given = [f"{self.field_for(name)}={value.code}"]
        imports = list(value.imports)
        for each in changed:
            choice, (_, attribute) = row[each], self.columns[each]
            if choice is not None and not isinstance(choice, Value):
                return  # a parent, which the reader knows better
            code = "None" if choice is None else _code(choice)
            imports += choice.imports if isinstance(choice, Value) else ()
            given.append(f"{self.field_for(attribute)}={code}")
        member = value.make(0)
        label = re.sub(r"\W+", "_", str(getattr(member, "name", member))).strip("_").lower()
        trait = f"is_{label}"
        if trait in {*self.model.attributes.values(), *(each.name for each in self.plan.params)}:
            trait = f"{name}_is_{label}"
        code = f"factory.Trait({', '.join(given)})"
        self.plan.params.append(Declaration(trait, code, tuple(imports)))

    def _note_constructor(self) -> None:
        """Say what a constructor of the project's own refuses, tried with the plain values."""
        if is_plain(self.model.cls) or self.model.is_abstract:
            return
        parameters = constructor_parameters(self.model.cls) or {}
        needed = [each for each in parameters.values() if each.default is each.empty]
        given: dict[str, Any] = {
            each.name: None for each in needed if each.kind is not each.VAR_POSITIONAL
        }
        for column, declaration in self.found.items():
            choice = self.row.get(key_of(column))
            if isinstance(choice, Value) and declaration.code == _code(choice):
                given[self.model.attributes[column]] = choice.make(0)
        refusal = self.model.refused_arguments(given)
        if refusal is not None:
            self.plan.notes.append(f"The constructor of {self.model.name} asks for more: {refusal}")

    def _note_condition(self, named: tuple[str, str]) -> None:
        name, text = named
        label = f"CHECK {name}" if name else "CHECK"
        said = f"{label}: {' '.join(text.split())}"
        columns = [
            column
            for column, declaration in self.found.items()
            if key_of(column) in parse(text).columns and declaration.code
        ]
        if columns:
            self.found[columns[0]].notes += (said,)
        else:
            self.plan.notes.append(said)


def _code(value: Value) -> str:
    if value.is_sequence and value.code == "str(n)":
        return "factory.Sequence(str)"
    if value.is_sequence:
        return f"factory.Sequence(lambda n: {value.code})"
    if value.is_mutable:
        makers = {"{}": "dict", "[]": "list"}
        return f"factory.LazyFunction({makers.get(value.code, f'lambda: {value.code}')})"
    return value.code
