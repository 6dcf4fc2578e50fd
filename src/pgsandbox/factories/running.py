"""What factories take from the running test: its session, and a fresh start.

The plugin speaks to this module, also where a project has no factories; so it imports neither
Factory Boy nor SQLAlchemy.
"""

# Factory Boy announces types and annotates next to none of its functions.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pgsandbox.factories.building import Options

_source: Callable[[], Session] | None = None
_seed: int | str | None = None
# Held until the next test only, so that factories which are made inside a test can go.
_used: set[Options] = set()


def use_session_source(source: Callable[[], Session] | None) -> None:
    """Let every factory call ask *source* for its session; None says that no test has one."""
    global _source  # noqa: PLW0603 - a process runs one test at a time, and that has one source
    _source = source


def session() -> Session | None:
    """Return the running test's session, or None where no test has one."""
    return _source() if _source else None


def begin_test(seed: int | str) -> None:
    """Let sequences and iterators of factories begin anew, and random values follow *seed*.

    Only factories that were used since the last time have anything to begin anew. A sequence begins
    where its factory's ``_setup_next_sequence`` says, which is asked when the first object is made.
    The seed holds for Factory Boy's own random values and for Faker's.
    """
    global _seed  # noqa: PLW0603 - a process runs one test at a time
    _seed = seed
    while _used:
        _begin_anew(_used.pop())
    reseed()


def reseed() -> None:
    """Let random values follow the running test's seed, if Factory Boy is loaded."""
    if _seed is not None and "factory" in sys.modules:
        from factory import random

        random.reseed_random(_seed)


def used(options: Options) -> None:
    """Remember that the factory of *options* has counted, so that the next test begins it anew."""
    _used.add(options)


def _begin_anew(options: Options) -> None:
    # A factory whose model extends its base's counts together with the base, by a reference to one
    # counter: both forget it, and whoever counts first makes the next one.
    options._counter = None
    options.counter_reference._counter = None
    for iterator in options.iterators:
        iterator.reset()
