"""What a behaviour is: a function of a stage, in an area, by one driver or another."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import areas


@dataclass(frozen=True)
class Behaviour:
    """One function, played with one choice of its drivers."""

    area: str
    """The name of its module."""
    body: Callable[..., Any]
    """It takes the stage and its drivers."""
    drivers: tuple[str, ...] = ()
    """What it is given beside the stage."""

    def __str__(self) -> str:
        by = f"[{'-'.join(self.drivers)}]" if self.drivers else ""
        return f"{self.area}.{self.body.__name__}{by}"


def on(*drivers: str | tuple[str, ...]) -> Callable[[Any], Any]:
    """Play the function once with each of *drivers*, or with each group of them."""

    def mark(body: Any) -> Any:
        body.drivers = [each if isinstance(each, tuple) else (each,) for each in drivers]
        return body

    return mark


def behaviours(*, in_turn: bool = False) -> Iterator[Behaviour]:
    """Return all, area by area, in the order in which they are written.

    Each has one of its drivers if they take it *in turn*, or else every one.
    """
    turn = itertools.count()
    for module in sorted(each.name for each in iter_modules(areas.__path__)):
        for body in list(vars(import_module(f"areas.{module}")).values()):
            if getattr(body, "__module__", "") != f"areas.{module}" or not callable(body):
                continue
            if body.__name__.startswith("_") or isinstance(body, type):
                continue
            choices = getattr(body, "drivers", [()])
            if in_turn:
                choices = [choices[next(turn) % len(choices)]]
            for drivers in choices:
                yield Behaviour(module, body, drivers)
