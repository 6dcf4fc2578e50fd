"""What an answer to a start-up message means."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pgsandbox.servers import probing


@contextmanager
def _saying(said: bytes, *, resets: bool = False) -> Iterator[int]:
    """A port on which one connection gets *said*; with *resets* it is broken off at once."""

    def answer() -> None:
        line, _ = listener.accept()
        with line:
            if resets:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            else:
                line.recv(1000)
                line.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("said", "who", "sqlstate"),
    [
        (b"R\0\0\0\x08\0\0\0\0", "postgresql", None),
        (b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0", "postgresql", None),
        (b"E\0\0\0\x17SFATAL\0C57P03\0Mwait\0\0", "postgresql", "57P03"),
        (b"E\0\0\0\x10not an error at all", "stranger", None),
        (b"R\0\0", "stranger", None),
        (b"Rather not", "stranger", None),
        (b"", "stranger", None),
    ],
)
def test_postgresql_is_known_by_its_answer(said: bytes, who: str, sqlstate: str | None) -> None:
    """An authentication request, or an error with an SQLSTATE."""
    with _saying(said) as port:
        answer = probing.ask("127.0.0.1", port, role="app", database="shop", seconds=2)

    assert (answer.who, answer.sqlstate) == (who, sqlstate)


def test_a_connection_that_is_broken_off_is_a_stranger_s() -> None:
    """Something was there."""
    with _saying(b"", resets=True) as port:
        answer = probing.ask("127.0.0.1", port, role="app", database="shop", seconds=2)

    assert answer.who == "stranger"


def test_unprintable_bytes_are_shown_as_dots() -> None:
    """A message must not move the cursor."""
    with _saying(b"\x1b[31mHello\r\nWorld") as port:
        answer = probing.ask("127.0.0.1", port, role="app", database="shop", seconds=2)

    assert answer.said == 'says ".[31mHello"'
