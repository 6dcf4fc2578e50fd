"""One client of the endpoint: what goes wrong for it is no other's end."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from pgsandbox.sandbox.endpoint.client import Client
from pgsandbox.sandbox.endpoint.endpoint import Endpoint
from pgsandbox.sandbox.endpoint.failures import Waiting


class _Broken:
    """Stands where a client's session and its flow of messages do, and has a fault."""

    def __init__(self, *, at_first: Exception) -> None:
        self.flow, self.at_first = self, at_first

    def handle(self, unit: object) -> None:
        raise self.at_first

    def limits(self) -> None:
        raise LookupError("limits")

    def close(self) -> None:
        raise LookupError("close")


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    """An endpoint without a server."""
    ours, its = socket.socketpair()
    with ours, its:
        found = Endpoint(its, tmp_path, os.getpid())
        yield found
        found.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection."""
    client, accepted = socket.socketpair()
    with client, accepted:
        yield client, accepted


@pytest.mark.parametrize(
    ("at_first", "said"), [(KeyError("serve"), "KeyError: 'serve'"), (Waiting((1,)), "LookupError")]
)
def test_a_fault_ends_its_client_alone(
    endpoint: Endpoint,
    ends: tuple[socket.socket, socket.socket],
    at_first: Exception,
    said: str,
) -> None:
    """While it is served, while it begins to wait, and at its end; the test's report names it."""
    client = Client(endpoint, ends[1], 1)
    client.backend = cast(Any, _Broken(at_first=at_first))
    ends[0].sendall(b"Q\0\0\0\5\0")
    client.connection.receive()
    client.serve()
    client.close()

    assert b"\0VFATAL\0CXX000\0" in ends[0].recv(1000)
    assert ends[0].recv(1000) == b""
    found = endpoint.database.finish("a test", by_a_child=False, is_over=True)
    facts = [fact.value for error in found for fact in error.facts if fact.name == "error"]
    assert [said in facts[0], facts[1]] == [True, "LookupError: close"]
