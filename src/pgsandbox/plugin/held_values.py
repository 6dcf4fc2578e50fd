"""What a test holds: what its fixtures have returned, and have in variables until they end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from types import AsyncGeneratorType, FunctionType, GeneratorType
from typing import Any

import pytest


def held_by(item: pytest.Item) -> Iterator[Any]:
    """Yield the values that *item*, its instance and its fixtures hold."""
    instance = getattr(item, "instance", None)
    if instance is not None:
        yield from vars(instance).values()
        yield from vars(type(instance)).values()
    request = getattr(item, "_request", None)
    for fixture in getattr(request, "_fixture_defs", {}).values():
        if fixture.cached_result is not None:
            yield fixture.cached_result[0]
        yield from _in_variables(fixture._finalizers)


def _in_variables(finalizers: Iterable[Any]) -> Iterator[Any]:
    """Yield the variables of the generators that *finalizers* are to go on with."""
    for each in finalizers:
        parts: list[Any] = []
        if isinstance(each, partial):
            parts += [*each.args, *each.keywords.values()]
        if isinstance(each, FunctionType):  # pytest-asyncio's
            parts += [cell.cell_contents for cell in each.__closure__ or () if _is_full(cell)]
        for part in parts:
            if isinstance(part, GeneratorType) and part.gi_frame is not None:
                yield from part.gi_frame.f_locals.values()
            elif isinstance(part, AsyncGeneratorType) and part.ag_frame is not None:
                yield from part.ag_frame.f_locals.values()


def _is_full(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # it was never set
        return False
