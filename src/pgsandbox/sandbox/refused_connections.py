"""What is said to a connection that may not be made, whoever asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL, Dialect

from pgsandbox import guard
from pgsandbox.errors import (
    DatabaseNotRequested,
    Fact,
    ForeignDatabase,
)
from pgsandbox.sandbox import call_sites


@dataclass(frozen=True)
class Attempt:
    """A connection that somebody tried to open."""

    running: str
    """The running test, or the phase of the run."""
    url: URL
    """Where it would have gone."""
    made: str | None
    """Where its engine was made, if that is known; a driver's own call has no engine."""
    databases: tuple[URL, ...]
    """The run's test databases."""
    settings: tuple[Fact, ...]
    """The settings that decide, with their sources."""

    def facts(self) -> list[Fact]:
        """Return what every refusal tells: who, where to, and by which line of the project."""
        made = [Fact("engine made at", self.made)] if self.made else []
        url = Fact("url", guard.masked(self.url.render_as_string(hide_password=True)))
        return [Fact("running", self.running), url, *made, Fact("opened at", call_sites.place())]


def url_of(driver: str | None, target: guard.Target) -> URL:
    """Return how a message spells *target*, which *driver* was to open."""
    is_socket = bool(target.host) and str(target.host).startswith("/")
    return URL.create(
        f"postgresql+{driver}",
        username=target.user,
        host=None if is_socket else target.host,
        port=None if is_socket else target.port,
        database=target.database or (str(target) if target.unknown else None),
        query={"host": str(target.host), "port": str(target.port)} if is_socket else {},
    )


def not_requested(attempt: Attempt) -> DatabaseNotRequested:
    """Refuse a connection while no test runs that asked for the database."""
    return DatabaseNotRequested(
        "A connection to PostgreSQL was opened where no running test has asked for the "
        "database, so it was refused.",
        facts=[*attempt.facts(), *(each for each in attempt.settings if each.name == "paths")],
        remedy=(
            "If a test is to use the database, let it request the fixture db_session, mark "
            "it with @pytest.mark.pgsandbox, or put it below one of the folders of the "
            "setting `paths`. Code that connects at import time, during collection or in "
            "a thread that outlives its test has to wait until a test runs. Code that makes or "
            "drops tables for the tests can go: they are there before the first test."
        ),
    )


def foreign(attempt: Attempt) -> ForeignDatabase:
    """Refuse a connection to anything but the test database."""
    return _foreign(
        attempt,
        (
            "Give the application the test database's URL: the fixture `pg` has it as "
            "pg.url. Where engines are made at import time from the application's own URL, "
            "set `redirect = true` in [tool.pgsandbox]. To let tests open this database as "
            "it is, name it in `allow`."
        ),
    )


def _foreign(attempt: Attempt, remedy: str) -> ForeignDatabase:
    homes = ", ".join(url.render_as_string() for url in attempt.databases)
    name = attempt.url.database or attempt.url.render_as_string()
    return ForeignDatabase(
        f'A test tried to open "{name}", which is not its test database; the connection was '
        "refused before it was made.",
        facts=[
            *attempt.facts(),
            Fact("test database", homes or "none yet"),
            *(each for each in attempt.settings if each.name != "paths"),
        ],
        remedy=remedy,
    )


# ------------------------------------------------------------------- databases of other kinds


def url_of_another_kind(dialect: Dialect, args: Any, parameters: dict[str, Any]) -> URL:
    """Return what an engine of another database than PostgreSQL opens, without its password."""
    named = args[0] if args and isinstance(args[0], str) else None
    database = named or parameters.get("database") or parameters.get("db")
    port = parameters.get("port")
    return URL.create(
        dialect.name,
        host=parameters.get("host"),
        port=int(port) if port else None,
        database=None if database in (None, ":memory:") else str(database),
    )


def is_same(url: URL, allowed: URL) -> bool:
    """Whether *url*, of an engine, is what somebody wrote as *allowed*; files by their path."""
    if url.get_backend_name() != allowed.get_backend_name():
        return False
    if url.get_backend_name() == "sqlite":
        return _file(url.database) == _file(allowed.database)
    return (url.host, url.port, url.database) == (allowed.host, allowed.port, allowed.database)


def _file(database: str | None) -> str:
    """Return a spelling that all spellings of one SQLite database share."""
    if database in (None, "", ":memory:"):
        return ":memory:"
    assert database is not None
    return database if database.startswith("file:") else str(Path(database).resolve())
