"""Decides what the factory of each mapped class declares, and in which order they stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pgsandbox.factories.declaring import FieldDeclarer
from pgsandbox.factories.imports import Import, name_of
from pgsandbox.factories.mapped_classes import Model
from pgsandbox.factories.plans import GLOBAL, Plan


def plan(models: Sequence[Model]) -> list[Plan]:
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
    if found.name not in names and found.name not in GLOBAL:
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
        FieldDeclarer(plan, self).fill()
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
