"""A statement that a thread still runs when its test ends: nobody waits for it for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from pgsandbox import guard
from pgsandbox.errors import EscapedFromSandbox
from pgsandbox.sandbox.test_database import TestDatabase
from pgsandbox.servers import Server

_CANCEL_AFTER = 0.1
_TEST = "tests/test_items.py::test_item"


class Busy:
    """A test database in which a thread runs a statement that takes an hour."""

    def __init__(self, server: Server) -> None:
        url = server.url.set(database="postgres")
        host, port = str(url.query["host"]), str(url.query["port"])
        self.database = TestDatabase("default", url, guard.Target(host, int(port), "postgres"))
        self.database.open(
            {"host": host, "port": port, "user": "postgres", "password": "", "database": "postgres"}
        )
        self.database.enter(_TEST)
        self.raised: list[BaseException] = []
        self.thread = threading.Thread(target=self._work)
        self.thread.start()
        with closing(server.connect("template1")) as observer, observer.cursor() as cursor:
            while not _is_running(cursor):
                time.sleep(0.001)

    def _work(self) -> None:
        to = self.database.destination
        connection = psycopg2.connect(host=to.host, port=to.port, user=to.user, dbname=to.database)
        with closing(connection), connection.cursor() as cursor:
            try:
                cursor.execute("select pg_sleep(3600)")
            except psycopg2.Error as error:
                self.raised.append(error)


def _is_running(cursor: Any) -> bool:
    cursor.execute(
        "select 1 from pg_stat_activity where state = 'active' and query ~ '^select pg_sleep.3600'"
    )
    return cursor.fetchone() is not None


@pytest.fixture
def busy(server: Server) -> Iterator[Busy]:
    """The thread has ended after the test."""
    busy = Busy(server)
    yield busy
    busy.database.finish(_TEST, timeout=_CANCEL_AFTER)
    busy.thread.join()
    busy.database.close()


def test_the_verdict_cancels_it(busy: Busy) -> None:
    """The test fails by it, and its thread gets the server's error."""
    (error,) = busy.database.check(_CANCEL_AFTER)
    busy.thread.join()

    assert isinstance(error, EscapedFromSandbox)
    assert "select pg_sleep(3600)" in str(error)
    assert _TEST in str(error)
    assert isinstance(busy.raised[0], psycopg2.errors.QueryCanceled)


def test_fixtures_of_a_failed_test_do_not_wait_for_it(busy: Busy) -> None:
    """Their teardown would: closing a session takes its turn after the statement."""
    busy.database.begin_teardown(_CANCEL_AFTER)
    busy.thread.join()

    (error,) = busy.database.finish(_TEST, timeout=_CANCEL_AFTER)
    assert isinstance(error, EscapedFromSandbox)
    assert isinstance(busy.raised[0], psycopg2.errors.QueryCanceled)


def test_the_end_cancels_it(busy: Busy) -> None:
    """Where nothing else has done so before."""
    (error,) = busy.database.finish(_TEST, timeout=_CANCEL_AFTER)

    assert isinstance(error, EscapedFromSandbox)
