"""A PostgreSQL server that tests may use, given or embedded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from sqlalchemy.engine import URL

from pgsandbox.connections import Connection
from pgsandbox.servers import libpq


class Use(Protocol):
    """A process's use of a server that is stopped when nobody uses it."""

    def keep(self, seconds: float = ...) -> int:
        """Let a process of its own use the server, for *seconds* at most; return its pid."""

    def end(self) -> None:
        """Give the use up. Doing so twice changes nothing."""


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server: where it is, what it is, and why it was chosen."""

    kind: Literal["given", "embedded"]
    """Who started it: somebody else, or pgsandbox."""
    url: URL
    """Its maintenance database, through psycopg2. The application's own database is never in it,
    unless no other could be connected to."""
    reason: str
    """Why it was chosen, in one clause: ``from TEST_DATABASE_URL``."""
    version: int
    """``server_version_num``: 180001 is 18.1."""
    version_text: str
    """The version as PostgreSQL writes it: ``18.1``."""
    use: Use | None = field(default=None, repr=False, compare=False)
    """What keeps an embedded server running for this process."""

    def connect(self, database: str | None = None) -> Connection:
        """A psycopg2 connection in autocommit, to the maintenance database unless one is named.

        Raises psycopg2.OperationalError if the server does not let it in within 5 seconds.
        """
        return libpq.connect(self.url if database is None else self.url_of(database))

    def url_of(self, database: str, drivername: str | None = None) -> URL:
        """The URL of *database* on this server, for *drivername* (psycopg2 unless named).

        Options of the URL go along as far as the driver knows them.
        """
        return libpq.for_driver(self.url.set(database=database), drivername or libpq.DRIVER)

    def keep(self) -> int | None:
        """Let an embedded server run on after this process; return the pid that holds it.

        It stops when that process is killed. A given server runs on anyway: then it is None.
        """
        return self.use.keep() if self.use is not None else None

    def linger(self, seconds: float) -> None:
        """Let an embedded server run on for *seconds*, for the next run; then it stops by itself.

        A later call counts instead of this one. A given server runs on anyway.
        """
        if self.use is not None:
            self.use.keep(seconds)

    def release(self) -> None:
        """Give up this process's use of an embedded server; the last one to do so stops it.

        Returns when the server's processes and files are gone, or after a second at the latest.
        Does nothing to a given server, and nothing when called again.
        """
        if self.use is not None:
            self.use.end()
