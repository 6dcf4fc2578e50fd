"""Writes a module of factories from the mapped classes of a project."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import MetaData

from pgsandbox.factories.mapped_classes import models_of
from pgsandbox.factories.planning import plan
from pgsandbox.factories.writing import module_of


@dataclass(frozen=True)
class Generated:
    """A module of factories."""

    text: str
    """Its source."""
    factories: int
    """How many factories it has."""
    marks: int
    """How many places wait for the reader."""


def generate(metadatas: Collection[MetaData], root: Path) -> Generated:
    """Return a module with a factory for each class that is mapped to tables of *metadatas*.

    It is the same for the same models. *root* is the project's directory: imports of what lies
    below it come last.
    """
    models = models_of(metadatas)
    plans = plan(models)
    first_party = {
        package
        for package in {"pgsandbox", *(each.cls.__module__.partition(".")[0] for each in models)}
        if _is_below(package, root)
    }
    text = module_of(plans, first_party)
    return Generated(text, len(plans), sum(each.marks for each in plans))


def _is_below(package: str, root: Path) -> bool:
    module = sys.modules.get(package)
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(
        Path(place).resolve().is_relative_to(root.resolve())
        and "site-packages" not in Path(place).parts
        for place in places
        if place
    )
