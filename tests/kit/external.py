"""A server that somebody else might have given: on a TCP port, with passwords.

It is an embedded one underneath, so it needs no PostgreSQL on the machine and leaves nothing
behind, however the tests end.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from sqlalchemy.engine import URL

from pgsandbox.servers import libpq, places
from pgsandbox.servers.binaries import find
from pgsandbox.servers.embedded import launch
from pgsandbox.servers.instance import Hold

PASSWORD = "correct horse"

_RULES = """\
local all all trust
host all unwelcome 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True)
class External:
    """A running server on a port of 127.0.0.1 that asks for passwords (scram-sha-256)."""

    url: URL
    """The superuser's, with password, for psycopg2; its database is ``postgres``."""
    port: int
    """The TCP port."""
    hold: Hold
    """What keeps it running; its instance has the socket on which no password is asked for."""

    def execute(self, *statements: str) -> None:
        """Run *statements* as superuser, each in its own transaction."""
        with (
            closing(libpq.connect(self.hold.instance.url)) as connection,
            connection.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)

    def wait_until_left(self, *databases: str) -> None:
        """Wait until nobody is in *databases*: a session's statistics are there when it has ended.

        That is a little after its client has gone.
        """
        deadline = time.monotonic() + 10
        asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = ANY(%s)"
        with (
            closing(libpq.connect(self.hold.instance.url)) as connection,
            connection.cursor() as cursor,
        ):
            while time.monotonic() < deadline:
                cursor.execute(asked, (list(databases),))
                if cursor.fetchone() == (0,):
                    return
                time.sleep(0.01)
        raise TimeoutError(f"somebody is still in one of {databases}")

    def postmaster(self) -> int:
        """The process id of its postmaster."""
        return int((self.hold.instance.data / "postmaster.pid").read_text().splitlines()[0])

    def stop(self) -> None:
        """Stop the server. Twice changes nothing."""
        self.hold.end()


@contextmanager
def external_server(binaries: Path | None = None, *settings: str) -> Iterator[External]:
    """Run a server of *binaries* with *settings* (``max_connections=5``) until the block ends."""
    port = free_port()
    arguments = [f"--{setting}" for setting in ("listen_addresses=127.0.0.1", *settings)]
    with places.private_folder() as private:
        hold = launch(
            private,
            "external",
            find(binaries),
            places.cache_folder(None),
            port=port,
            arguments=tuple(arguments),
        )
    url = URL.create(libpq.DRIVER, "postgres", PASSWORD, "127.0.0.1", port, "postgres")
    server = External(url, port, hold)
    try:
        (hold.instance.data / "pg_hba.conf").write_text(_RULES)
        server.execute(f"ALTER ROLE postgres PASSWORD '{PASSWORD}'", "SELECT pg_reload_conf()")
        _wait_until_passwords_count(url)
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_passwords_count(url: URL) -> None:
    """Reloading only tells the postmaster to; it does so a little later."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            libpq.connect(url.set(password="wrong")).close()
        except psycopg2.OperationalError:
            return
    raise TimeoutError("the server still takes any password")
