"""Declares the parents of a row: sub-factories, and what two of them share."""

from __future__ import annotations

import keyword
from typing import Any, Protocol

from sqlalchemy import Column

from pgsandbox.factories.choosing import ValueChooser, key_of
from pgsandbox.factories.logic import PRESENT
from pgsandbox.factories.mapped_classes import Model, Parent, may_be_null
from pgsandbox.factories.plans import RESERVED, Declaration, Plan
from pgsandbox.factories.value import text


class Others(Protocol):
    """The plans of the other factories."""

    def of(self, model: Model | None) -> Plan | None:
        """Return the plan that makes a parent of *model*; None if there is none yet."""

    def is_open(self, model: Model | None) -> bool:
        """Say whether that plan needs this one."""


class Parents(ValueChooser):
    """The declarations that make parents."""

    def __init__(self, plan: Plan, others: Others) -> None:
        base = plan.base
        inherited = base.model.attributes.values() if base else ()
        super().__init__(plan.model, inherited, base.row if base else {})
        self.plan = plan
        self.others = others
        self.found: dict[Column[Any], Declaration] = {}
        """What is declared, by the column where it stands."""

    def _declare_parents(self) -> None:
        wanted = [
            each
            for each in self.keys
            if all(self.row[key_of(column)] is PRESENT for column in each.columns)
            and not any(self._is_server_key(column) for column in each.columns)
            and (self._is_needed(each) or any(may_be_null(column) for column in each.columns))
        ]
        # Wide keys first: what they set, narrow ones share.
        wanted.sort(key=lambda each: -len(each.columns))
        done: list[tuple[Parent, str]] = []
        for parent in wanted:
            declared = self._declare_parent(parent, done)
            if declared is not None:
                done.append((parent, declared))

    def _declare_parent(self, parent: Parent, done: list[tuple[Parent, str]]) -> str | None:
        covering = self._covering(parent, done)
        if covering is not None:
            self._share(parent, *covering)
            return None
        made = self.others.of(parent.model)
        if made is None:
            self._declare_orphan(parent)
            return None
        self.plan.needs.append(made)
        arguments, notes = self._shared_arguments(parent, done)
        code = f"factory.SubFactory({', '.join([made.name, *arguments])})"
        if parent.relationship is not None:
            name = self.field_for(parent.relationship)
            self._put(parent, Declaration(name, code, notes=notes))
            return name
        assert parent.model is not None
        name = self._param_name(parent)
        self.plan.params.append(Declaration(name, code, notes=notes))
        for column, remote in zip(parent.columns, parent.remote, strict=True):
            attribute = parent.model.attributes.get(remote)
            if attribute is not None and column not in self.found:
                own = self.field_for(self.model.attributes[column])
                path = text(f"{name}.{attribute}")
                self.found[column] = Declaration(own, f"factory.SelfAttribute({path})")
        return name

    def _put(self, parent: Parent, declaration: Declaration) -> None:
        """Let the declaration stand where a column of the key does that has none yet."""
        free = [each for each in reversed(parent.columns) if each not in self.found]
        if free:
            self.found[free[0]] = declaration
        else:
            self.plan.declarations.append(declaration)

    def _param_name(self, parent: Parent) -> str:
        attribute = self.model.attributes[parent.columns[-1]].strip("_")
        name = attribute.removesuffix("_id").removesuffix("_uuid") or attribute
        taken = {*self.model.attributes.values(), *self.model.mapper.all_orm_descriptors.keys()}
        taken |= {each.name for each in self.plan.params}
        while name in taken or name in RESERVED or keyword.iskeyword(name) or "__" in name:
            name = f"{name.replace('__', '_')}_made"
        return name

    def _declare_orphan(self, parent: Parent) -> None:
        target = parent.remote[0].table.name
        if self.others.is_open(parent.model):
            note = f"A {self.model.name} needs a row of {target} that needs it: the circle is open."
        elif parent.model is None:
            note = f"The key leads to {target}, which no class is mapped to."
        else:
            note = f"The key leads to {target}, whose class has no factory here."
        column = parent.columns[0]
        name = self.model.attributes[column]
        if column not in self.found:
            self.found[column] = Declaration(self.field_for(name), "None", notes=(note,))

    def _covering(
        self, parent: Parent, done: list[tuple[Parent, str]]
    ) -> tuple[Parent, str] | None:
        for other, name in done:
            if set(parent.columns) <= set(other.columns):
                return other, name
        return None

    def _share(self, parent: Parent, wide: Parent, name: str) -> None:
        """Take the parent that the wider key's parent has already."""
        if parent.relationship is None or wide.model is None:
            return
        there = dict(zip(wide.columns, wide.remote, strict=True))
        remote = tuple(there[column] for column in parent.columns)
        for above in wide.model.parents:
            if above.relationship and set(above.columns) == set(remote):
                path = text(f"{name}.{above.relationship}")
                field_name = self.field_for(parent.relationship)
                code = f"factory.SelfAttribute({path})"
                self._put(parent, Declaration(field_name, code))
                return

    def _shared_arguments(
        self, parent: Parent, done: list[tuple[Parent, str]]
    ) -> tuple[list[str], tuple[str, ...]]:
        arguments: list[str] = []
        notes: list[str] = []
        for other, name in done:
            for column in parent.columns:
                if column not in other.columns or parent.model is None or other.model is None:
                    continue
                here = dict(zip(parent.columns, parent.remote, strict=True))[column]
                there = dict(zip(other.columns, other.remote, strict=True))[column]
                pair = _same_row(parent.model, here, other.model, there)
                if pair is None:
                    notes.append(f"Its {here.name} has to be that of {name}.")
                else:
                    path = text(f"..{name}.{pair[1]}")
                    arguments.append(f"{pair[0]}=factory.SelfAttribute({path})")
        return list(dict.fromkeys(arguments)), tuple(notes)

    def field_for(self, attribute: str) -> str:
        """Return the name of the declaration for *attribute*, and note it if it is another one."""
        name = attribute
        if name.startswith("_") or "__" in name:
            name = name.strip("_").replace("__", "_")
            while name in self.model.attributes.values():
                name += "_"
        if name in RESERVED or keyword.iskeyword(name) or not name.isidentifier():
            name += "_"
        if name != attribute:
            self.plan.rename[name] = attribute
        return name


def _same_row(
    model: Model, column: Column[Any], other: Model, there: Column[Any]
) -> tuple[str, str] | None:
    """Return the attributes by which two parents share what both keys hold."""
    for mine in model.parents:
        for theirs in other.parents:
            is_same = mine.relationship and theirs.relationship and mine.model == theirs.model
            if is_same and mine.columns == (column,) and theirs.columns == (there,):
                return str(mine.relationship), str(theirs.relationship)
    is_plain = not column.foreign_keys and column in model.attributes
    if is_plain and there in other.attributes:
        return model.attributes[column], other.attributes[there]
    return None
