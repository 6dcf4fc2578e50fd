"""Compares factories with the models, without and with a database."""

# Factory Boy announces types and annotates next to none of its functions.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from factory import base
from sqlalchemy import Column, MetaData
from sqlalchemy.orm import Mapper

from pgsandbox.factories.base import Factory
from pgsandbox.factories.findings import finding
from pgsandbox.factories.mapped_classes import Model, constructor_parameters, is_plain, models_of
from pgsandbox.factories.persisting import TrialConnections, Tried, try_all
from pgsandbox.reports import Finding, Report, in_order


def check(
    modules: Sequence[ModuleType],
    metadatas: Collection[MetaData],
    bench: TrialConnections,
    root: Path,
) -> list[Finding]:
    """Return what is wrong with the factories of *modules*, for the models of *metadatas*.

    Objects are made on the *bench*, and undone. Paths in findings are relative to *root*.
    """
    models = models_of(metadatas)
    factories = factories_in(modules, models)
    found = list(_missing(models, factories, root))
    of = {model.cls: model for model in models}
    ours = [each for each in factories if issubclass(each, Factory)]
    found += [_of_another_base(each, root) for each in factories if each not in ours]
    unknown = {each: list(_unknown_fields(each, root)) for each in ours}
    found += [one for each in unknown.values() for one in each]
    # What its model refuses as an argument can't be tried.
    able = [each for each in ours if not unknown[each]]
    tried = [Tried(each, of[each._meta.model], _unfed(each, of)) for each in able]
    found += try_all(tried, bench, root)
    return found


def report(found: Iterable[Finding], factories: int, models: int) -> Report:
    """Return the report on so many factories and models."""
    listed = in_order(found)
    number = f"{len(listed) or 'no'} finding{'' if len(listed) == 1 else 's'}"
    return Report(listed, f"{factories} factories of {models} mapped classes checked: {number}.")


def factories_in(modules: Sequence[ModuleType], models: Sequence[Model]) -> list[Any]:
    """Return the factories in *modules* that make objects of *models*, in the order written."""
    mapped = {model.cls for model in models}
    found: dict[Any, None] = {}
    for module in modules:
        for each in vars(module).values():
            is_factory = isinstance(each, type) and issubclass(each, base.Factory)
            if is_factory and not each._meta.abstract and each._meta.model in mapped:
                found[each] = None
    return list(found)


def _missing(models: Sequence[Model], factories: Sequence[Any], root: Path) -> Iterator[Finding]:
    made = {each._meta.model for each in factories}
    for model in models:
        if model.cls not in made and not model.is_abstract:
            yield finding(
                "no-factory",
                f"No factory makes objects of {model.name}.",
                model.cls,
                root=root,
                remedy="Write one, or take it from `pgsandbox factories generate --output -`.",
            )


def _of_another_base(each: Any, root: Path) -> Finding:
    return finding(
        "other-base",
        f"{each.__name__} does not derive of pgsandbox.factories.Factory, so it was not tried.",
        each,
        root=root,
        remedy="Let it derive of that: it then finds the session of the running test by itself.",
    )


# -- fields ---------------------------------------------------------------------------------------


def declared_fields(each: Any) -> dict[str, str]:
    """Return the declarations that become arguments of the model, each with its argument."""
    meta = each._meta
    hidden = {*meta.exclude, *meta.parameters}
    return {
        name: meta.rename.get(name, name)
        for name in meta.pre_declarations.as_dict()
        if name not in hidden and "__" not in name
    }


def _unknown_fields(each: type[Factory[Any]], root: Path) -> Iterator[Finding]:
    model: Any = each._meta.model
    if _adjusts(each) or not _is_strict(model):
        return
    parameters = constructor_parameters(model)
    for name, argument in declared_fields(each).items():
        meta: Any = each._meta
        if name in meta.inline_args:
            continue
        is_known = hasattr(model, argument) if parameters is None else argument in parameters
        if not is_known:
            yield finding(
                "no-such-field",
                f"{model.__name__} has no {argument}, which {each.__name__} declares.",
                each,
                root=root,
                field=name,
                remedy="Remove it, correct the name, or move it into class Params.",
            )


def _adjusts(each: type[Factory[Any]]) -> bool:
    """Say whether code of the factory stands between its declarations and the model."""
    return any(
        getattr(each, name).__func__ is not getattr(Factory, name).__func__
        for name in ("_adjust_kwargs", "_create", "_save")
    )


def _is_strict(model: type) -> bool:
    """Say whether the constructor of *model* refuses what is no attribute of it."""
    if constructor_parameters(model) is not None:
        return True
    return is_plain(model)


def _unfed(each: Any, of: dict[type, Model]) -> tuple[str, ...]:
    """Return the attributes of required columns that no declaration gives a value."""
    model = of[each._meta.model]
    fields = {*declared_fields(each).values()}
    fed = _fed_by(model.mapper, fields)
    return tuple(
        name
        for column, name in model.attributes.items()
        if column not in fed and name not in fields and model.is_required(column)
    )


def _fed_by(mapper: Mapper[Any], fields: set[str]) -> set[Column[Any]]:
    return {
        column
        for relationship in mapper.relationships
        if relationship.key in fields
        for column in relationship.local_columns
        if isinstance(column, Column)
    }


def count_of(modules: Sequence[ModuleType], metadatas: Collection[MetaData]) -> tuple[int, int]:
    """Return the numbers of factories and of models."""
    models = models_of(metadatas)
    return len(factories_in(modules, models)), len(models)
