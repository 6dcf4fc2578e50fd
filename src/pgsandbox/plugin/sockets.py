"""The setting ``refuse-sockets``: tests that do not ask for the database reach nobody at all.

Every way of Python's ``socket.socket`` to reach somebody is guarded: ``connect``, ``connect_ex``
and ``sendto``, of TCP, UDP and Unix sockets, in every thread. Listening and accepting are not, nor
is a pair of sockets (``socket.socketpair``, as an event loop makes for itself), nor what happens
outside of tests: pytest-xdist's workers talk to their controller as ever. Libraries that open
sockets in C (libpq, libcurl, uvloop) are not seen here; PostgreSQL's drivers are refused anyway.
"""

from __future__ import annotations

import socket
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pgsandbox.errors import Fact, SocketRefused
from pgsandbox.sandbox import call_sites

if TYPE_CHECKING:
    from pgsandbox.config import Settings
    from pgsandbox.sandbox.interceptor import ConnectionInterceptor

MARKER = "pgsandbox_sockets: let the test open sockets, which the setting refuse-sockets refuses"
_WAYS = ("connect", "connect_ex", "sendto")


class Sockets:
    """Refuses sockets while a test runs that has neither the database nor the marker."""

    def __init__(self, interceptor: ConnectionInterceptor, settings: Settings) -> None:
        self._interceptor = interceptor
        self._source = settings.source_of("refuse-sockets")
        self._item: pytest.Item | None = None
        self._guards = {way: self._guarded(way) for way in _WAYS}

    def pytest_configure(self, config: pytest.Config) -> None:
        """Stand in every socket's way."""
        for way, guard in self._guards.items():
            setattr(socket.socket, way, guard)

    def pytest_unconfigure(self) -> None:
        """Leave sockets alone again."""
        for way, guard in self._guards.items():
            if vars(socket.socket).get(way) is guard:
                delattr(socket.socket, way)  # what _socket.socket has shows again

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Remember the running test, from its set-up to its teardown."""
        self._item = item
        try:
            return (yield)
        finally:
            self._item = None

    def _guarded(self, way: str) -> Any:
        original = getattr(socket.socket, way)

        def guarded(opened: socket.socket, *args: Any) -> Any:
            __tracebackhide__ = True
            self._judge(opened, args[-1] if args else None)
            return original(opened, *args)

        guarded.__name__ = way
        guarded.__doc__ = original.__doc__
        return guarded

    def _judge(self, opened: socket.socket, address: Any) -> None:
        __tracebackhide__ = True
        item = self._item
        if (
            item is None
            or self._interceptor.is_requested
            or item.get_closest_marker("pgsandbox_sockets")
        ):
            return
        raise SocketRefused(
            "A test that did not ask for the database opened a socket, which was refused before "
            "it was connected.",
            facts=[
                Fact("test", item.nodeid),
                Fact("address", _shown(opened, address)),
                Fact("opened at", call_sites.place()),
                Fact("refuse-sockets", "true", self._source),
            ],
            remedy=(
                "Let the test do without the network. If it needs a server of its own, mark it "
                "with @pytest.mark.pgsandbox_sockets."
            ),
        )


def _shown(opened: socket.socket, address: Any) -> str:
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = str(address[0]), address[1]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(address, bytes):
        return address.decode("utf-8", "replace")
    return f"{address} ({opened.family.name})"
