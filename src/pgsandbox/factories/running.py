"""What factories take from the running test: its session, and a fresh start.

The plugin speaks to this module, also where a project has no factories; so it imports neither
Factory Boy nor SQLAlchemy.
"""

# Factory Boy announces types and annotates next to none of its functions.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pgsandbox.factories.building import Options

_source: Callable[[], Session] | None = None
_perform: Callable[[Callable[[], Any]], Any] | None = None
_seed: int | str | None = None
# Held until the next test only, so that factories which are made inside a test can go.
_used: set[Options] = set()


def use_session_source(
    source: Callable[[], Session] | None,
    perform: Callable[[Callable[[], Any]], Any] | None = None,
) -> None:
    """Let every factory call ask *source* for its session; None says that no test has one.

    *perform* is given each call, to make it where the session's driver needs more than a call.
    """
    global _source, _perform
    _source, _perform = source, perform


def session() -> Session | None:
    """Return the running test's session, or None where no test has one."""
    return _source() if _source else None


def perform(call: Callable[[], Any]) -> Any:
    """Return what the factory *call* returns, made in the way that the session's driver needs."""
    return _perform(call) if _perform else call()


def begin_test(seed: int | str, counted: Mapping[Options, int] | None = None) -> None:
    """Restart the sequences and iterators of factories, and seed random values by *seed*.

    Only factories that were used since the last time have anything to restart. A sequence begins
    where its factory's ``_setup_next_sequence`` says, which is asked when the first object is made.
    The seed holds for Factory Boy's own random values and for Faker's. Where factories have made
    rows that stand already, their sequences go on from what they had *counted* then.
    """
    global _seed  # noqa: PLW0603 - a process runs one test at a time
    _seed = seed
    while _used:
        _begin_anew(_used.pop())
    _count_on(counted or {})
    reseed()


@dataclass(frozen=True)
class Progress:
    """How far a test has come when something else comes between."""

    seed: int | str | None
    counted: Mapping[Options, int]
    random: Any
    """The state of random values; None before Factory Boy is loaded."""


def interrupt(seed: int | str, counted: Mapping[Options, int]) -> Progress:
    """Begin as in `begin_test`, in the middle of a test; return where that is to go on."""
    progress = Progress(_seed, counted_so_far(), _random_state())
    begin_test(seed, counted)
    return progress


def go_on(progress: Progress, counted: Mapping[Options, int]) -> None:
    """Let the test that was interrupted go on, after what was *counted* in the meantime."""
    numbers = {
        options: max(progress.counted.get(options, 0), counted.get(options, 0))
        for options in {**progress.counted, **counted}
    }
    begin_test(progress.seed or "", numbers)
    if progress.random is not None:
        from factory import random

        random.set_random_state(progress.random)


def counted_so_far() -> Mapping[Options, int]:
    """Return where each sequence stands that was used, by the factory that counts."""
    counters: dict[Any, Any] = {
        each.counter_reference: each.counter_reference._counter for each in _used
    }
    return {options: counter.seq for options, counter in counters.items() if counter is not None}


def _count_on(counted: Mapping[Options, int]) -> None:
    for options, number in counted.items():
        from factory import base

        options._counter = base._Counter(seq=number)
        _used.add(options)


def _random_state() -> Any:
    if "factory" not in sys.modules:
        return None
    from factory import random

    return random.get_random_state()


def reseed() -> None:
    """Let random values follow the running test's seed, if Factory Boy is loaded."""
    if _seed is not None and "factory" in sys.modules:
        from factory import random

        random.reseed_random(_seed)


def used(options: Options) -> None:
    """Remember that the factory of *options* has counted, so that the next test restarts it."""
    _used.add(options)


def _begin_anew(options: Options) -> None:
    # A factory whose model extends its base's counts together with the base, by a reference to one
    # counter: both forget it, and whoever counts first makes the next one.
    options._counter = None
    options.counter_reference._counter = None
    for iterator in options.iterators:
        iterator.reset()
