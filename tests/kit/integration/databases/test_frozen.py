"""A server process that is stopped keeps its sockets open and answers nothing: no wait is endless.

Each test measures the wait; the limits are shortened, so that the suite need not wait in full, and
the last test says what they are.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing

import pytest

from pgsandbox.databases import (
    Leases,
    admin,
    administration,
    claim,
    connecting,
    lease,
    limits,
    templates,
)
from pgsandbox.databases.connecting import HeldServer
from pgsandbox.databases.limits import Limits
from pgsandbox.errors import AdministrationBlocked, ServerError
from tests.kit.integration.databases.builder import TableTemplate

SHORT = Limits(lock=0.3, statement=0.3)


@pytest.fixture
def freeze():
    """Stop a process of the server, until the end of the test."""
    frozen = []

    def freeze(pid):
        os.kill(pid, signal.SIGSTOP)
        frozen.append(pid)

    yield freeze
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def hurried(monkeypatch):
    """Shorter limits."""
    monkeypatch.setattr(lease, "LIMITS", SHORT)
    monkeypatch.setattr(limits, "_TO_END", 0.2)


@pytest.mark.usefixtures("hurried")
def test_a_frozen_lease_holds_up_nobody(server, freeze):
    """Teardown hung for ever on it; the database is left to the next run."""
    owned = claim(server, "shop")
    freeze(server.sessions("pgsandbox lease shop_test")[0])
    began = time.monotonic()

    owned.drop()
    assert time.monotonic() - began < 5
    assert server.databases() == {"shop_test"}


@pytest.mark.usefixtures("hurried")
def test_a_frozen_session_of_administration_is_named(server, connection, freeze):
    """The message says what was waited for, and the connection is closed."""
    claim(server, "shop").lease.leases.close()
    freeze(connection.info.backend_pid)

    with pytest.raises(
        AdministrationBlocked, match="did not answer when it was to look up"
    ) as caught:
        admin.drop(connection, "shop_test", limits=SHORT)
    assert f"an answer of the session with pid {connection_pid(caught)}" in str(caught.value)
    assert connection.closed


def connection_pid(caught):
    """The pid that the cause of the caught error names."""
    return caught.value.__cause__.pid


@pytest.mark.usefixtures("hurried")
def test_the_next_statement_of_a_held_server_goes_over_a_new_connection(server, freeze):
    """The frozen one is given up."""
    held = HeldServer(server)
    freeze(held.connection().info.backend_pid)
    with pytest.raises(AdministrationBlocked), administration(held) as first:
        admin.drop(first, "shop_test", limits=SHORT)

    with administration(held) as second:
        assert not admin.exists(second, "shop_test")
    held.close()


def test_a_frozen_postmaster_lets_nobody_wait_twice(server, freeze):
    """A run's end takes several steps, each with a connection of its own."""
    postmaster = int((server.directory / "data" / "postmaster.pid").read_text().splitlines()[0])
    freeze(postmaster)
    other = server.through("template1")  # it is remembered that this one is frozen
    began = time.monotonic()

    for _ in range(4):
        with pytest.raises(ServerError, match="did not let pgsandbox in") as caught:
            connecting.open_connection(other)
        assert "somebody has stopped its processes" in str(caught.value)
    assert time.monotonic() - began < 7


def test_a_builder_that_stands_still_is_not_waited_for(server, monkeypatch):
    """It holds the template's lease and does nothing: this run builds its database itself."""
    monkeypatch.setattr(templates, "_STANDSTILL", 0.5)
    specification = TableTemplate(server)
    with closing(Leases(server)) as stopped, closing(Leases(server)) as ours:
        stopped.take(specification.name)
        began = time.monotonic()

        assert templates.obtain(server, ours, specification) is None
        assert 0.5 < time.monotonic() - began < 5


def test_no_limit_is_longer_than_15_seconds():
    """What the tests above have shortened, and what they have not."""
    assert limits.DEFAULT_LIMITS.answer < 15
    assert lease.LIMITS.answer < 15
    assert templates._STANDSTILL < 15
