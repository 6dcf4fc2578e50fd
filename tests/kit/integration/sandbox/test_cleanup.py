"""Connections whose event loops are closed, or run in other threads, are closed all the same."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from pgsandbox import servers
from pgsandbox.sandbox import cleanup
from tests.kit.nightly import by_night


def _with_nothing_unclosed(body: Callable[[], None]) -> None:
    """Fail if *body* leaves something open, or that complains of it when it is collected."""
    gc.collect()
    before = _open_files()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        body()
        cleanup.close_ended()
        gc.collect()

    assert [str(each.message) for each in told if each.category is ResourceWarning] == []
    assert _open_files() <= before


def _open_files() -> set[tuple[int, int, int]]:
    found = set()
    for descriptor in [int(each.name) for each in Path("/dev/fd").iterdir()]:
        with suppress(OSError):  # that of the listing
            about = os.fstat(descriptor)
            found.add((descriptor, about.st_dev, about.st_ino))
    return found


@pytest.fixture
def url():
    """The URL of a server, for asyncpg."""
    server = servers.embedded(reason="a test looks on")
    yield server.url.set(drivername="postgresql").render_as_string(hide_password=False)
    server.release()


@pytest.mark.nightly
@pytest.mark.parametrize("turn", [0, *by_night(1)])
def test_a_loop_that_ends_in_another_thread(url: str, turn: int) -> None:
    """It was asked to close a connection, and is closed itself before it could."""
    found: list[Any] = []
    is_ready, is_closed = threading.Event(), threading.Event()

    async def connected() -> None:
        found.append(await asyncpg.connect(url))
        is_ready.set()
        is_closed.wait(10)  # the loop stands still, and ends with this step

    def run() -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(connected())
        loop.close()

    def body() -> None:
        with ThreadPoolExecutor(1) as pool:
            ended = pool.submit(run)
            assert is_ready.wait(10)
            cleanup.close_real(found.pop())
            is_closed.set()
            ended.result()

    _with_nothing_unclosed(body)


@pytest.mark.parametrize("turn", [0, *by_night(1)])
def test_a_loop_that_goes_on_in_another_thread(url: str, turn: int) -> None:
    """It closes the connection in its own time."""
    found: list[Any] = []
    is_ready, is_over = threading.Event(), threading.Event()

    async def connected() -> None:
        found.append(connection := await asyncpg.connect(url))
        is_ready.set()
        while not connection.is_closed():  # noqa: ASYNC110 - nobody tells when it is
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        is_over.set()

    def body() -> None:
        with ThreadPoolExecutor(1) as pool:
            ended = pool.submit(asyncio.run, connected())
            assert is_ready.wait(10)
            cleanup.close_real(found.pop())
            assert is_over.wait(10)
            ended.result()

    _with_nothing_unclosed(body)


@pytest.mark.parametrize("turn", [0, *by_night(1)])
def test_a_loop_that_is_closed(url: str, turn: int) -> None:
    """Nothing can be asked of it."""

    def body() -> None:
        connection = asyncio.run(asyncpg.connect(url))
        cleanup.close_real(connection)

    _with_nothing_unclosed(body)


@pytest.mark.nightly
def test_a_loop_that_is_closed_in_the_same_moment(url: str) -> None:
    """Another thread closes it between the question whether it is closed and what follows."""
    loop: asyncio.AbstractEventLoop

    class ClosesWhenAsked:
        """The loop, which another thread closes once somebody has seen that it is not closed."""

        def __getattr__(self, name: str) -> Any:
            return getattr(loop, name)

        def is_closed(self) -> bool:
            """Answer, and be closed."""
            answer = loop.is_closed()
            loop.close()
            return answer

    def body() -> None:
        nonlocal loop
        loop = asyncio.new_event_loop()
        connection = loop.run_until_complete(asyncpg.connect(url))
        connection._loop = ClosesWhenAsked()
        cleanup.close_real(connection)

    _with_nothing_unclosed(body)


_GOES_ON = """
import asyncio, sys, time
import psycopg
from pgsandbox.sandbox import cleanup

loop = asyncio.new_event_loop()

def run_once():
    loop.call_soon(loop.stop)
    loop.run_forever()

connecting = psycopg.AsyncConnection.connect(sys.argv[1], autocommit=True)
connection = loop.run_until_complete(connecting)
task = loop.create_task(connection.execute("select pg_sleep(0.05)"))
while connection.pgconn.transaction_status != psycopg.pq.TransactionStatus.ACTIVE:
    run_once()
run_once()
time.sleep(0.3)  # the answer is there
run_once()       # the loop has seen it, and the task goes on with its next step
assert not task.done()
cleanup.close_real(connection)
try:
    loop.run_until_complete(asyncio.wait_for(task, 10))
except psycopg.OperationalError as error:
    print(error)
loop.close()
"""


def test_a_task_goes_on_in_a_connection_of_psycopg_that_was_closed(url: str) -> None:
    """It is told that the server hung up; the process crashed in libpq."""
    command = (sys.executable, "-W", "error", "-c", _GOES_ON, url)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert "server closed the connection" in done.stdout


def test_a_thread_waits_in_a_connection_of_psycopg_that_is_closed(url: str) -> None:
    """It waits no longer, and is told the same."""

    def body() -> None:
        connection = psycopg.connect(url, autocommit=True)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(connection.execute, "select pg_sleep(60)")
            while connection.pgconn.transaction_status != psycopg.pq.TransactionStatus.ACTIVE:
                pass
            cleanup.close_real(connection)
            with pytest.raises(psycopg.OperationalError):
                waiting.result(10)

    _with_nothing_unclosed(body)
