"""A statement that a thread still runs when its test ends: nobody waits for it for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
from pgsandbox.sandbox.drivers.psycopg2 import Physical
from pgsandbox.sandbox.sandbox import Sandbox

from pgsandbox.errors import EscapedFromSandbox
from pgsandbox.servers import Server

_PATIENCE = 0.1


class Busy:
    """A sandbox in which a thread runs a statement that takes an hour."""

    def __init__(self, raw: psycopg2.extensions.connection) -> None:
        raw.autocommit = False
        self.sandbox = Sandbox(Physical(raw), "tests/test_items.py::test_item")
        self.raised: list[BaseException] = []
        self._raw = raw
        self.thread = threading.Thread(target=self._work)
        self.thread.start()
        while raw.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_ACTIVE:
            time.sleep(0.001)

    def _work(self) -> None:
        connection = self.sandbox.join("a thread", is_arranging=False)
        cursor = self._raw.cursor()
        try:
            self.sandbox.run(
                connection,
                "select pg_sleep(3600)",
                lambda: cursor.execute("select pg_sleep(3600)"),
            )
        except psycopg2.Error as error:
            self.raised.append(error)


@pytest.fixture
def busy(server: Server) -> Iterator[Busy]:
    """The thread has ended after the test."""
    with closing(server.connect()) as raw:
        busy = Busy(raw)
        yield busy
        busy.sandbox.finish(_PATIENCE)
        busy.thread.join()


def test_the_verdict_cancels_it(busy: Busy) -> None:
    """The test fails by it, and its thread gets the server's error."""
    (error,) = busy.sandbox.verdict(_PATIENCE)
    busy.thread.join()

    assert isinstance(error, EscapedFromSandbox)
    assert "select pg_sleep(3600)" in str(error)
    assert "tests/test_items.py::test_item" in str(error)
    assert isinstance(busy.raised[0], psycopg2.errors.QueryCanceled)


def test_fixtures_of_a_failed_test_do_not_wait_for_it(busy: Busy) -> None:
    """Their teardown would: closing a session takes its turn after the statement."""
    busy.sandbox.wind_down(_PATIENCE)
    busy.thread.join()

    (error,) = busy.sandbox.finish(_PATIENCE)
    assert isinstance(error, EscapedFromSandbox)
    assert isinstance(busy.raised[0], psycopg2.errors.QueryCanceled)


def test_the_end_cancels_it(busy: Busy) -> None:
    """Where nothing else has done so before."""
    (error,) = busy.sandbox.finish(_PATIENCE)

    assert isinstance(error, EscapedFromSandbox)
    assert busy.sandbox.is_finished
