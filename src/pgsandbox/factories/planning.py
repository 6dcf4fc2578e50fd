"""Decides what the factory of each mapped class declares."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, types

from pgsandbox.factories import values
from pgsandbox.factories.conditions import PRESENT, parse
from pgsandbox.factories.imports import Import, name_of
from pgsandbox.factories.reading import Model, Parent, accepts, constructor_parameters
from pgsandbox.factories.satisfying import Cell, Row, satisfy
from pgsandbox.factories.values import Value


@dataclass
class Declaration:
    """One line of a factory."""

    name: str
    code: str
    """The expression."""
    imports: tuple[Import, ...] = ()
    notes: tuple[str, ...] = ()
    """What the reader has to decide about it."""


@dataclass
class Plan:
    """What one factory says."""

    model: Model
    name: str
    source: Import
    """How the class is imported."""
    base: Plan | None = None
    """The factory that it extends."""
    params: list[Declaration] = field(default_factory=list)
    declarations: list[Declaration] = field(default_factory=list)
    rename: dict[str, str] = field(default_factory=dict)
    """The names of declarations that are not those of the attributes."""
    notes: list[str] = field(default_factory=list)
    """What the reader has to decide about the whole."""
    row: Row = field(default_factory=dict)
    """What is chosen for each column."""
    needs: list[Plan] = field(default_factory=list)
    """The factories that have to stand before it."""

    @property
    def marks(self) -> int:
        """How many places wait for the reader."""
        return len(self.notes) + sum(len(each.notes) for each in [*self.params, *self.declarations])


def plan(models: Sequence[Model], *, is_known: bool = True) -> list[Plan]:
    """Return a plan for each of *models*, parents and bases before those who need them."""
    plans: dict[Model, Plan] = {}
    taken: set[str] = set()
    for model in models:
        source = _source(model, plans.values())
        plans[model] = Plan(model, _factory_name(model, source, taken), source)
    ordered: list[Plan] = []
    planner = _Planner(plans, ordered)
    for model in models:
        planner.settle(plans[model])
    return ordered


def _source(model: Model, others: Iterable[Plan]) -> Import:
    found = name_of(model.cls)
    assert found is not None  # `models_of` leaves out what can't be imported
    names = {each.source.name for each in others}
    if found.name not in names and found.name not in _GLOBAL:
        return found
    last = model.cls.__module__.rpartition(".")[2]
    prefix = "".join(part.capitalize() for part in last.split("_") if part)
    return Import(found.module, found.attribute, f"{prefix}{found.attribute}", found.inner)


def _factory_name(model: Model, source: Import, taken: set[str]) -> str:
    name = f"{source.name.rpartition('.')[2].strip('_')}Factory"
    name = name[:1].upper() + name[1:]
    while name in taken:
        outer = model.cls.__module__.rpartition(".")[2].title().replace("_", "")
        name = f"{outer}{name}" if not name.startswith(outer) else f"{name}_"
    taken.add(name)
    return name


_GLOBAL = frozenset({"factory", "dt", "Decimal", "UUID", "Range", "Factory"})
"""Names that the module uses itself."""

_RESERVED = frozenset(
    {
        *_GLOBAL,
        "Meta",
        "Params",
        "build",
        "build_batch",
        "create",
        "create_batch",
        "generate",
        "generate_batch",
        "reset_sequence",
        "simple_generate",
        "simple_generate_batch",
        "stub",
        "stub_batch",
    }
)
"""Names that mean something else in a factory, or in its module."""


class _Planner:
    """Settles plan after plan; a plan that is being settled can't be needed by another one."""

    def __init__(self, plans: dict[Model, Plan], ordered: list[Plan]) -> None:
        self.plans = plans
        self.ordered = ordered
        self._open: list[Plan] = []

    def settle(self, plan: Plan) -> None:
        """Fill *plan* and what it needs, and put it behind these."""
        if plan in self.ordered or plan in self._open:
            return
        self._open.append(plan)
        base = plan.model.base
        if base is not None and base in self.plans:
            plan.base = self.plans[base]
            self.settle(plan.base)
        _Settled(plan, self).fill()
        self._open.pop()
        self.ordered.append(plan)

    def of(self, model: Model | None) -> Plan | None:
        """Return the plan by which a parent of *model* is made, settled; None if there is none."""
        plan = self._concrete(model)
        if plan is None or plan in self._open:
            return None
        self.settle(plan)
        return plan

    def is_open(self, model: Model | None) -> bool:
        """Whether the parent of *model* is being settled, so that it is needed in a circle."""
        return self._concrete(model) in self._open

    def _concrete(self, model: Model | None) -> Plan | None:
        if model is None:
            return None
        if not model.is_abstract:
            return self.plans.get(model)
        below = [Model(each) for each in model.mapper.self_and_descendants]
        concrete = sorted(
            (each for each in below if not each.is_abstract and each in self.plans),
            key=lambda each: each.place,
        )
        return self.plans[concrete[0]] if concrete else None


class _Settled:
    """The work on one plan."""

    def __init__(self, plan: Plan, planner: _Planner) -> None:
        self.plan = plan
        self.planner = planner
        self.model = plan.model
        self.inherited = set(plan.base.model.attributes.values()) if plan.base else set[str]()
        self.columns = {
            _key(column): (column, name) for column, name in self.model.attributes.items()
        }
        self.keys = [each for each in self.model.parents if self._is_own(each)]
        self.key_columns = {column for parent in self.keys for column in parent.columns}
        self.row: Row = dict(plan.base.row) if plan.base else {}
        self.found: dict[Column[Any], Declaration] = {}
        """What is declared, by the column where it stands."""

    def fill(self) -> None:
        """Choose values, satisfy the constraints, and declare what came of it."""
        start = self._start()
        self.row.update(start)
        self._make_unique()
        open_conditions = self._satisfy()
        self._declare_parents()
        self._declare_values()
        self._declare_what_the_constructor_needs()
        for text in open_conditions:
            self._note_condition(text)
        order = {column: place for place, column in enumerate(self.model.attributes)}
        for column in sorted(self.found, key=lambda each: order[each]):
            self.plan.declarations.append(self.found[column])
        self.plan.row = self.row

    def _is_own(self, parent: Parent) -> bool:
        names = {self.model.attributes[each] for each in parent.columns}
        return not names <= self.inherited

    # -- values -------------------------------------------------------------------------------

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
                row.update({_key(column): PRESENT for column in parent.columns})
        return row

    def _first_choice(self, column: Column[Any], name: str) -> Any:
        if self.model.is_of_the_mapper(column):
            return self._of_mapper(column)
        if self.model.is_required(column):
            return values.value_of(column, name, is_unique=False)
        return self._default(column)

    def _of_mapper(self, column: Column[Any]) -> Any:
        identity = self.model.mapper.polymorphic_identity
        if column is self.model.mapper.version_id_col or identity is None:
            return PRESENT
        return values.constant("", identity)

    def _default(self, column: Column[Any]) -> Any:
        """Return what the column holds if nobody feeds it."""
        default: Any = column.default
        if default is not None:
            return values.constant("", default.arg) if default.is_scalar else PRESENT
        if self.model.is_made(column):
            made: Any = column.server_default
            text = getattr(made, "arg", None)
            if text is None or column.computed is not None or column.identity is not None:
                return PRESENT
            literal = text if isinstance(text, str) else str(text)
            if isinstance(text, str):
                return values.constant("", _typed(column, literal))
            value = parse(literal).evaluate({})
            return PRESENT if value is None else values.constant("", _typed(column, value))
        # A joined table's key is copied from the one above it.
        return None if column.nullable else PRESENT

    def _make_unique(self) -> None:
        for group in self.model.unique:
            if all(column in self.model.attributes for column in group) and self._repeats(group):
                self._make_one_count(group)

    def _repeats(self, group: tuple[Column[Any], ...]) -> bool:
        for column in group:
            choice = self.row.get(_key(column))
            if choice is None or choice is PRESENT:
                return False  # NULL, a new parent, or what the server or a callable makes
            if isinstance(choice, Value) and choice.is_sequence and _has_many(column):
                if len(group) == 1:
                    break
                return False
        return True

    def _make_one_count(self, group: tuple[Column[Any], ...]) -> None:
        free = [each for each in group if each not in self.key_columns and not self._fixed(each)]
        free.sort(key=lambda each: not _has_many(each))
        for column in free:
            name = self.model.attributes[column]
            value = values.value_of(column, name, is_unique=True)
            if value.is_sequence:
                self.row[_key(column)] = value
                return

    def _fixed(self, column: Column[Any]) -> bool:
        is_server = column.computed is not None or column.identity is not None
        return is_server or self.model.is_of_the_mapper(column)

    def _satisfy(self) -> list[tuple[str, str]]:
        conditions = [each for _, _, each in self.model.conditions]
        unique = {column for group in self.model.unique for column in group}
        cells = {
            key: Cell(
                column,
                name,
                column in unique and self._is_sequence(key),
                column in self.key_columns or bool(column.foreign_keys),
                self._fixed(column) or not accepts(self.model.cls, name),
            )
            for key, (column, name) in self.columns.items()
        }
        left = satisfy(conditions, cells, self.row)
        names = {condition: name for name, _, condition in self.model.conditions}
        return [
            (names[each], each.text)
            for each in left
            if any(self._is_chosen(key) for key in each.columns)
        ]

    def _is_sequence(self, key: str) -> bool:
        choice = self.row.get(key)
        return isinstance(choice, Value) and choice.is_sequence

    def _is_chosen(self, key: str) -> bool:
        choice = self.row.get(key)
        is_own = key in self.columns and self.columns[key][1] not in self.inherited
        return is_own and isinstance(choice, Value) and bool(choice.code)

    # -- declarations -------------------------------------------------------------------------

    def _is_needed(self, parent: Parent) -> bool:
        return all(
            not column.nullable and not self._is_server_key(column) for column in parent.columns
        )

    def _is_server_key(self, column: Column[Any]) -> bool:
        return column.computed is not None or column.identity is not None

    def _declare_parents(self) -> None:
        wanted = [
            each
            for each in self.keys
            if all(self.row[_key(column)] is PRESENT for column in each.columns)
            and not any(self._is_server_key(column) for column in each.columns)
            and (self._is_needed(each) or any(column.nullable for column in each.columns))
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
        made = self.planner.of(parent.model)
        if made is None:
            self._declare_orphan(parent)
            return None
        self.plan.needs.append(made)
        arguments, notes = self._shared_arguments(parent, done)
        code = f"factory.SubFactory({', '.join([made.name, *arguments])})"
        first = parent.columns[0]
        if parent.relationship is not None:
            name = self._field(parent.relationship)
            self.found[first] = Declaration(name, code, notes=notes)
            return name
        assert parent.model is not None
        name = self._param_name(parent)
        self.plan.params.append(Declaration(name, code, notes=notes))
        for column, remote in zip(parent.columns, parent.remote, strict=True):
            attribute = parent.model.attributes.get(remote)
            if attribute is not None and column not in self.found:
                own = self._field(self.model.attributes[column])
                path = values.text(f"{name}.{attribute}")
                self.found[column] = Declaration(own, f"factory.SelfAttribute({path})")
        return name

    def _param_name(self, parent: Parent) -> str:
        attribute = self.model.attributes[parent.columns[-1]].strip("_")
        name = attribute.removesuffix("_id").removesuffix("_uuid") or attribute
        taken = {*self.model.attributes.values(), *self.model.mapper.all_orm_descriptors.keys()}
        taken |= {each.name for each in self.plan.params}
        while name in taken or name in _RESERVED or keyword.iskeyword(name) or "__" in name:
            name = f"{name.replace('__', '_')}_made"
        return name

    def _declare_orphan(self, parent: Parent) -> None:
        target = parent.remote[0].table.name
        if self.planner.is_open(parent.model):
            note = f"A {self.model.name} needs a row of {target} that needs it: the circle is open."
        elif parent.model is None:
            note = f"The key leads to {target}, which no class is mapped to."
        else:
            note = f"The key leads to {target}, whose class has no factory here."
        column = parent.columns[0]
        name = self.model.attributes[column]
        if column not in self.found:
            self.found[column] = Declaration(self._field(name), "None", notes=(note,))

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
                path = values.text(f"{name}.{above.relationship}")
                field_name = self._field(parent.relationship)
                self.found[parent.columns[0]] = Declaration(
                    field_name, f"factory.SelfAttribute({path})"
                )
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
                    path = values.text(f"..{name}.{pair[1]}")
                    arguments.append(f"{pair[0]}=factory.SelfAttribute({path})")
        return list(dict.fromkeys(arguments)), tuple(notes)

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
            if choice.is_sequence and not _has_many(column) and self._is_alone(column):
                notes = (*notes, "It is unique, and its type has few values.")
            self.found[column] = Declaration(
                self._field(name), _code(choice), choice.imports, notes
            )

    def _is_alone(self, column: Column[Any]) -> bool:
        return (column,) in self.model.unique

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
            self.plan.declarations.append(Declaration(self._field(name), code, notes=notes))

    def _note_condition(self, named: tuple[str, str]) -> None:
        name, text = named
        label = f"CHECK {name}" if name else "CHECK"
        said = f"{label}: {' '.join(text.split())}"
        columns = [
            column
            for column, declaration in self.found.items()
            if _key(column) in parse(text).columns and declaration.code
        ]
        if columns:
            self.found[columns[0]].notes += (said,)
        else:
            self.plan.notes.append(said)

    def _field(self, attribute: str) -> str:
        """Return the name of the declaration for *attribute*, and note it if it is another one."""
        name = attribute
        if name.startswith("_") or "__" in name:
            name = name.strip("_").replace("__", "_")
            while name in self.model.attributes.values():
                name += "_"
        if name in _RESERVED or keyword.iskeyword(name) or not name.isidentifier():
            name += "_"
        if name != attribute:
            self.plan.rename[name] = attribute
        return name


def _key(column: Column[Any]) -> str:
    return column.name


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


def _has_many(column: Column[Any]) -> bool:
    return not isinstance(column.type, types.Enum | types.Boolean)


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
        return dict(values.enum_values(kind)).get(value, value)
    return value if isinstance(kind, types.String) else PRESENT


def _code(value: Value) -> str:
    if value.is_sequence:
        return f"factory.Sequence(lambda n: {value.code})"
    if value.is_mutable:
        makers = {"{}": "dict", "[]": "list"}
        return f"factory.LazyFunction({makers.get(value.code, f'lambda: {value.code}')})"
    return value.code
