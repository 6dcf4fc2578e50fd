"""A server that restarts its processes after a crash is waited for; one that is gone is named."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing, suppress

import pytest

from pgsandbox.databases import administration, connecting
from pgsandbox.errors import ServerError
from tests.kit.integration.databases.conftest import LocalServer


@pytest.fixture
def recovering(server):
    """The server, which lets nobody in until the process of this id goes on: its checkpointer.

    One of its sessions was killed, and PostgreSQL waits up to 5 seconds for all processes to end.
    """
    ((checkpointer,),) = server.run(
        "select pid from pg_stat_activity where backend_type = 'checkpointer'"
    )
    os.kill(checkpointer, signal.SIGSTOP)
    with closing(server.connect()) as other, closing(server.connect()) as killed:
        os.kill(killed.info.backend_pid, signal.SIGKILL)
        while other.is_open():
            time.sleep(0.001)
    yield checkpointer
    with suppress(ProcessLookupError):
        os.kill(checkpointer, signal.SIGCONT)


def test_a_server_that_recovers_is_waited_for(server, recovering, monkeypatch):
    """In vain once only, which the error says; when it is up, the work goes on."""
    monkeypatch.setattr(connecting, "PATIENCE", 0.3)
    with pytest.raises(ServerError) as caught, administration(server):
        pass
    began = time.monotonic()
    with pytest.raises(ServerError), administration(server):
        pass
    waited = time.monotonic() - began
    monkeypatch.undo()
    os.kill(recovering, signal.SIGCONT)
    with administration(server.through("template1")) as connection:
        name = connection.info.dbname

    assert "the database system is" in str(caught.value)
    assert caught.value.remedy.startswith("It did before, and restarts now")
    assert waited < 0.2
    assert name == "template1"


def test_a_server_that_is_gone_is_named(tmp_path):
    """Nobody has changed its roles."""
    with pytest.raises(ServerError) as caught, administration(LocalServer(tmp_path)):
        pass

    assert "No such file or directory" in str(caught.value)
    assert caught.value.remedy.startswith("It did before: somebody has stopped it")
