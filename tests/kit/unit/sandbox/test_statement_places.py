"""Whose line a statement came from, by the files and by the time."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from pgsandbox.sandbox.statement_places import StatementPlaces

ROOT = Path("/srv/shop")


@pytest.fixture
def places() -> StatementPlaces:
    """Those of a project whose integration tests have a directory of their own."""
    found = StatementPlaces()
    found.configure(ROOT, [ROOT / "checks"], ["shop"])
    return found


@pytest.mark.parametrize(
    "file",
    [
        "tests/integration/test_orders.py",
        "tests/factories.py",
        "src/shop/tests/views.py",
        "integration_tests/flows.py",
        "shop/testing/fixtures.py",
        "checks/flows.py",
        "conftest.py",
        "test_orders.py",
        "orders_test.py",
        "tests.py",
    ],
)
def test_files_of_the_tests(places: StatementPlaces, file: str) -> None:
    """By their name, their directory, or the setting paths."""
    assert places.is_test_file(str(ROOT / file))


@pytest.mark.parametrize(
    "file", ["shop/orders.py", "shop/latest/contest.py", "shop/testimonials.py", "app.py"]
)
def test_files_of_the_application(places: StatementPlaces, file: str) -> None:
    """A name that merely holds the word is none of a test."""
    assert not places.is_test_file(str(ROOT / file))


def test_a_directory_above_the_project_says_nothing(places: StatementPlaces) -> None:
    """The project may be checked out below one that is named so."""
    places.configure(Path("/srv/tests/shop"), [], [])

    assert not places.is_test_file("/srv/tests/shop/orders.py")
    assert places.is_test_file("/srv/tests/shop/tests/orders.py")


def test_a_statement_is_of_the_line_that_spoke_last(places: StatementPlaces) -> None:
    """On its own connection, and before it came."""
    before = time.monotonic()
    places.note("one", "UPDATE t", None)
    between = time.monotonic()
    places.note("two", "DELETE FROM t", None)
    places.note("one", "INSERT INTO t", None)
    first, last = places.of("one", between), places.of("one", time.monotonic())

    assert places.of("one", before) is None
    assert first is not None
    assert last is not None
    assert last.line == first.line + 3
    assert first.is_test
    assert places.of("three", between) is None


def test_no_thread_is_taken_for_one_that_has_ended(places: StatementPlaces) -> None:
    """The system gives the number of a thread that has ended to the next one."""

    def write(token: str) -> None:
        places.note(token, "INSERT INTO t", None)

    for token in ("one", "two"):
        thread = threading.Thread(target=write, args=[token])
        thread.start()
        thread.join()
    write("three")
    write("four")
    found = [places.of(token, time.monotonic()) for token in ("one", "two", "three", "four")]
    threads = [each.thread for each in found if each is not None]

    assert len(threads) == 4
    assert threads[0] != threads[1]
    assert threads[2] == threads[3]


def test_reads_that_nobody_will_ask_for(places: StatementPlaces) -> None:
    """Before another connection has written; and the writes of the test's own session."""
    places.note("one", "SELECT 1 FROM t", None)
    places.note("two", "INSERT INTO t", None, is_arranging=True)
    places.note("one", "INSERT INTO t", None)
    written = time.monotonic()
    places.note("one", "SELECT 1 FROM t", None)
    own = places.of("one", time.monotonic())
    places.note("two", "SELECT 1 FROM t", None)

    assert own == places.of("one", written)
    assert places.of("two", written) is None
    assert places.of("two", time.monotonic()) is not None


def test_nothing_is_left_of_the_test_before(places: StatementPlaces) -> None:
    """Each begins anew."""
    places.note("one", "INSERT INTO t", None)
    places.begin()

    assert places.of("one", time.monotonic()) is None
