"""Nothing that the sandbox does differs silently from real connections.

The behaviours are those of ``tests/examples/behaviours``, each by one of the drivers in turn, and
in the night by every one. ``python -m tests.kit.differential`` plays them, and as many random
programs as one likes, and names what differs.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.kit.differential.comparing import Compared, Verdict, table
from tests.kit.differential.faults import FAULTS, UNSTEADY
from tests.kit.differential.limits import LIMITS
from tests.kit.differential.playing import Stage

PROGRAMS = 10
DRIVERS = ("psycopg2", "psycopg", "asyncpg")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("--in-turn",), id="drivers in turn"),
        pytest.param((), id="every driver", marks=pytest.mark.nightly),
    ],
)
def compared(stage: Stage, request: pytest.FixtureRequest) -> list[Compared]:
    """Every behaviour and some random programs, played in the sandbox and on real connections."""
    found = stage.compared(f"--programs={PROGRAMS}", *request.param)
    print(table(found))
    return found


def test_no_behaviour_differs_silently(compared: list[Compared]) -> None:
    """What differs is refused by name, or is a limit of the documentation; faults are listed."""
    different = [each for each in compared if each.verdict is Verdict.DIFFERENT]

    assert [str(each) for each in different if not each.is_in(FAULTS)] == []


def test_every_fault_is_still_one(compared: list[Compared]) -> None:
    """A fault that is mended leaves the list."""
    different = {
        name
        for each in compared
        if each.verdict is Verdict.DIFFERENT
        for name in (each.name, each.function)
    }

    assert set(FAULTS) - UNSTEADY - different == set()


def test_no_behaviour_fails_on_real_connections(compared: list[Compared]) -> None:
    """Each comes to its end there, without an error that it does not expect."""
    assert [str(each) for each in compared if each.verdict is Verdict.UNREAL] == []


def test_the_behaviours_are_many(compared: list[Compared]) -> None:
    """At least 150 functions, in areas, by every driver."""
    behaviours = [each for each in compared if each.area != "programs"]
    functions = {each.function for each in behaviours}
    drivers = Counter(each for name in behaviours for each in DRIVERS if each in name.name)

    assert len(functions) >= 150
    assert len(compared) - len(behaviours) == PROGRAMS
    assert min(drivers[driver] for driver in DRIVERS) > 20


def test_every_limit_names_a_behaviour(compared: list[Compared]) -> None:
    """A line of the list that names nothing would hide what comes to bear its name."""
    names = {name for each in compared for name in (each.name, each.function)}

    assert set(LIMITS) <= names
