"""An end to the wait for a server's session that stands still.

What a test leaves running is cancelled; but a session that a debugger has stopped, or whose machine
is gone without a word, hears no request, and a client library waits for its answer for ever. So the
last words with the server have a deadline. When it has passed, the connection's socket is shut, and
the library tells its caller that the connection is lost, which is what happens then anyway.

One thread looks once a second at what is bounded at that moment; a test costs it nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator

from pgsandbox.sandbox.physical import Physical

LIMIT = 30.0
"""Seconds that the end of a test may wait for the server's answers, all together."""

_PAUSE = 1.0
_bounded: dict[object, tuple[float, Physical]] = {}
_starting = threading.Lock()
_watch: threading.Thread | None = None


@contextlib.contextmanager
def bounded(physical: Physical) -> Iterator[None]:
    """Shut the socket of *physical* if the block lasts longer than `LIMIT`."""
    _start_watching()
    key = object()
    _bounded[key] = time.monotonic() + LIMIT, physical
    try:
        yield
    finally:
        _bounded.pop(key, None)


def _start_watching() -> None:
    global _watch  # noqa: PLW0603 - one thread for the process; a fork has none of its parent's
    if _watch is None or not _watch.is_alive():
        with _starting:
            if _watch is None or not _watch.is_alive():
                _watch = threading.Thread(target=_look, name="pgsandbox-patience", daemon=True)
                _watch.start()


def _look() -> None:
    while True:
        time.sleep(_PAUSE)
        for key, (deadline, physical) in list(_bounded.items()):
            if time.monotonic() > deadline:
                _bounded.pop(key, None)
                _shut(physical)


def _shut(physical: Physical) -> None:
    """Shut the socket and leave its descriptor to the driver, who is waiting on it."""
    with contextlib.suppress(Exception), socket.socket(fileno=os.dup(physical.fileno())) as mine:
        mine.shutdown(socket.SHUT_RDWR)
