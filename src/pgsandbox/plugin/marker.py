"""The marker ``pgsandbox``: how a test asks for the database, and how it is isolated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import pytest

from pgsandbox.config import kinds
from pgsandbox.config.kinds import Repetitions
from pgsandbox.errors import ConfigurationError, Fact

MARKER = (
    'pgsandbox(isolation="sandbox", uncommitted=None, repeated_queries=None): let the test use the '
    'test database, in a transaction that is rolled back ("sandbox", the default), or in one of '
    'its own ("clone"); uncommitted and repeated_queries say for it what the settings of these '
    "names say for all"
)
Isolation = Literal["sandbox", "clone"]
Uncommitted = Literal["fail", "warn", "ignore"]


@dataclass(frozen=True)
class Choice:
    """What a test asks of pgsandbox."""

    isolation: Isolation = "sandbox"
    """How its changes are kept from other tests."""
    uncommitted: Uncommitted | None = None
    """What happens if its application writes without a commit; None as the setting says."""
    is_marked: bool = False
    """Whether the marker stands on it, its class or its module."""
    is_requested: bool = False
    """Whether it may open the database."""
    repeated_queries: Repetitions | None = None
    """The setting for this test; None where it is the run's."""

    def asking(self, is_requested: bool) -> Choice:
        """Return the same choice with what else the test asks by."""
        return replace(self, is_requested=is_requested)


def pgsandbox(
    *,
    isolation: Isolation = "sandbox",
    uncommitted: Uncommitted | None = None,
    repeated_queries: int | str | None = None,
) -> Choice:
    """The marker's signature: it is validated by being called."""
    if isolation not in ("sandbox", "clone"):
        raise ValueError(f'isolation must be "sandbox" or "clone", not {isolation!r}')
    if uncommitted not in (None, "fail", "warn", "ignore"):
        raise ValueError(f'uncommitted must be "fail", "warn" or "ignore", not {uncommitted!r}')
    if repeated_queries is None:
        return Choice(isolation, uncommitted, is_marked=True)
    kind = kinds.repetitions()
    try:
        repetitions = kind.from_toml(repeated_queries)
    except kinds.Refused:
        raise ValueError(
            f"repeated_queries must be {kind.allowed}, not {repeated_queries!r}"
        ) from None
    return Choice(isolation, uncommitted, is_marked=True, repeated_queries=repetitions)


def choice_of(item: pytest.Item) -> Choice:
    """Return what the markers of *item* ask for: of each keyword the closest one that has it.

    Raises:
        ConfigurationError: a marker has arguments that it does not know.
    """
    markers = list(item.iter_markers("pgsandbox"))
    if not markers:
        return Choice()
    try:
        for marker in markers:
            pgsandbox(*marker.args, **marker.kwargs)
        asked = {name: each for mark in markers[::-1] for name, each in mark.kwargs.items()}
        return pgsandbox(**asked)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The marker pgsandbox is used wrongly: {error}.",
            facts=[Fact("test", item.nodeid)],
            remedy=f"It takes keywords: {MARKER}.",
        ) from None
