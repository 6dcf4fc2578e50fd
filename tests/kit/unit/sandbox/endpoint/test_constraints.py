"""How deferred constraints are deferred again after a commit has checked them."""

from __future__ import annotations

import pytest

from pgsandbox.sandbox.endpoint.constraints import Constraints


@pytest.mark.parametrize(
    ("deferred", "immediate", "said"),
    [
        ((), (), ""),
        ((), ("public.a",), ""),
        (("public.a", '"B".c'), (), "SET CONSTRAINTS ALL DEFERRED"),
        (("public.a", '"B".c'), ("public.d",), 'SET CONSTRAINTS public.a, "B".c DEFERRED'),
    ],
)
def test_what_defers_those_that_are_deferred_initially(
    deferred: tuple[str, ...], immediate: tuple[str, ...], said: str
) -> None:
    """By name only where ALL would defer others, too: a name costs the server a look."""
    constraints = Constraints(bool(deferred or immediate), deferred, immediate)

    assert constraints.to_defer == said
