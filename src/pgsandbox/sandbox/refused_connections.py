"""The errors for connections that may not be made."""

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
    GuardError,
)
from pgsandbox.sandbox import call_sites, superfluous


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
        url = Fact("url", self._place())
        return [Fact("running", self.running), url, *made, Fact("opened at", call_sites.place())]

    @property
    def doubt(self) -> str | None:
        """Why it can't be told where the connection would have gone; None where it can."""
        said = self.url.query.get(_UNKNOWN)
        return None if said is None else str(said)

    def _place(self) -> str:
        if self.doubt is not None:
            return f"unknown ({self.doubt})"
        return guard.masked(self.url.render_as_string(hide_password=True))


_UNKNOWN = "unknown"
"""The option by which a URL of a message says why it can't be told."""


def url_of(driver: str | None, target: guard.Target) -> URL:
    """Return how a message spells *target*, which *driver* was to open.

    A raw ``@`` or ``/`` in a password has made what follows it a part of the host, or of the
    database, and nobody can tell any more where it ends.
    """
    if target.unknown:
        return URL.create(f"postgresql+{driver}", query={_UNKNOWN: target.unknown})
    is_socket = bool(target.host) and str(target.host).startswith("/")
    host, port = (None, None) if is_socket else (target.host, target.port)
    if _AT in f"{host}/{target.database}":
        host, port = host and _HIDDEN, None
    user = target.user and target.user.partition(":")[0]
    return URL.create(
        f"postgresql+{driver}",
        username=user,
        host=host,
        port=port,
        database=user if target.database == target.user else _shown(target.database),
        query={"host": str(target.host), "port": str(target.port)} if is_socket else {},
    )


_AT = "@"
_HIDDEN = "***"


def _shown(database: str | None) -> str | None:
    if database is None:
        return None
    return _HIDDEN if _AT in database else guard.masked(database)


def not_requested(attempt: Attempt) -> DatabaseNotRequested:
    """Refuse a connection while no test runs that asked for the database."""
    maker = superfluous.maker()
    return DatabaseNotRequested(
        "A connection to PostgreSQL was opened where no running test has asked for the "
        "database, so it was refused.",
        facts=[
            *attempt.facts(),
            *superfluous.facts(maker),
            *(each for each in attempt.settings if each.name == "paths"),
        ],
        remedy=superfluous.remedy(maker)
        if maker
        else (
            "If a test is to use the database, let it request the fixture db_session, mark "
            "it with @pytest.mark.pgsandbox, or put it below one of the folders of the "
            "setting `paths`. Code that connects at import time, during collection or in "
            "a thread that outlives its test has to wait until a test runs. Code that makes or "
            "drops tables for the tests can go: they are there before the first test."
        ),
    )


def foreign(attempt: Attempt) -> ForeignDatabase:
    """Refuse a connection to anything but the test database."""
    redirects = any(each.name == "redirect" and each.value == "true" for each in attempt.settings)
    return _foreign(
        attempt,
        (
            "Give the application the test database's URL: the fixture `pg` has it as pg.url. "
            + (_REDIRECTS if redirects else _MAY_REDIRECT)
            + " To let tests open this database as it is, name it in `allow`."
        ),
    )


_REDIRECTS = (
    "`redirect` sends connections to the database that the setting `url` names, and no other: this "
    "one differs from it in host, port or name. A second database of the application's is a bind. "
    "A fixture that makes or drops databases for the tests can go: pgsandbox does that."
)
_MAY_REDIRECT = (
    "Where engines are made at import time from the application's own URL, set `redirect = true` "
    "in [tool.pgsandbox]."
)


def not_judged(attempt: Attempt, driver: str, *, is_requested: bool) -> GuardError:
    """Refuse a connection of a *driver* that nothing is known of, wherever it goes."""
    kind = ForeignDatabase if is_requested else DatabaseNotRequested
    return kind(
        f"An engine was connected by {driver}, a driver that pgsandbox does not know, so that "
        "nobody can say to which database; the connection was refused before anything was sent.",
        facts=[*attempt.facts(), Fact("driver", driver), *attempt.settings],
        remedy=(
            "Let the engine of the tests connect by psycopg2, psycopg or asyncpg: give the "
            "application a setting for its `creator` or its URL. A database that tests may open as "
            "it is, is named in `allow`, and opened by one of these drivers."
        ),
    )


def of_another_kind(attempt: Attempt, *, is_requested: bool) -> GuardError:
    """Refuse an engine of SQLite, or of another server than PostgreSQL."""
    allowed = f'allow = ["{guard.masked(attempt.url.render_as_string(hide_password=True))}"]'
    in_memory = attempt.url.get_backend_name() == "sqlite" and attempt.url.database is None
    if is_requested:
        memory = f"{_IN_MEMORY} " if in_memory else ""
        return _foreign(
            attempt,
            f"To let tests open this database as it is, name it in `allow`: {allowed}. {memory}"
            "An application that is to work on the test database is given pg.url of the fixture "
            "`pg`.",
        )
    more = (
        " In memory it may be opened by tests that do not ask for the database where "
        "`allow-memory-sqlite = true` is set."
        if in_memory
        else ""
    )
    database = guard.masked(attempt.url.database or "a database in memory")
    return DatabaseNotRequested(
        f'An engine of {attempt.url.get_backend_name()} was about to open "{database}" where no '
        "running test has asked for a database, so it was refused.",
        facts=[*attempt.facts(), *(each for each in attempt.settings if each.name == "allow")],
        remedy=(
            "A database is refused whatever its kind: somebody may work with this one. Give the "
            "application another URL in tests, or let it wait until a test runs. To let it be "
            f"opened as it is, name it in `allow`, in [tool.pgsandbox]: {allowed}.{more}"
        ),
    )


_IN_MEMORY = (
    "`allow-memory-sqlite = true` is for tests that do not ask for the database, and does nothing "
    "in one that does."
)


def of_another_kind_in_schema(attempt: Attempt) -> ForeignDatabase:
    """Refuse the same of what builds the schema: migrations, or the seed."""
    kind = attempt.url.get_backend_name()
    database = guard.masked(attempt.url.database or "a database in memory")
    return ForeignDatabase(
        f'While the schema was built, an engine of {kind} was about to open "{database}"; the '
        "connection was refused before it was made.",
        facts=attempt.facts(),
        remedy=(
            "Migrations and the seed run on PostgreSQL: give the application, by its configuration "
            "for tests or an environment variable, a URL of PostgreSQL. Nobody has to answer "
            "there: while the schema is built, all that connects to it reaches the new database. "
            "What they may open as it is, is named in `allow`."
        ),
    )


def _foreign(attempt: Attempt, remedy: str) -> ForeignDatabase:
    maker = superfluous.maker()
    homes = ", ".join(url.render_as_string() for url in attempt.databases)
    if attempt.doubt is not None:
        opened = f"a database that cannot be told from the call, since {attempt.doubt}"
        named = "Name one host, a port and a database in the call, or in the URL."
        if "PGSERVICE" in attempt.doubt:  # it may say hostaddr, which counts for more than any host
            named = "Run the tests without it: env -u PGSERVICE pytest."
        remedy = f"{named} {remedy}"
    else:
        opened = f"{_name(attempt.url)}, which is not its test database"
    if _is_half_of_one(attempt):
        remedy = f"{_NOT_ITS_HOST} {remedy}"
    if _HIDDEN in (attempt.url.host, attempt.url.database):
        remedy = f"The host or the database has an @: in a password, write @ as %40. {remedy}"
    return ForeignDatabase(
        f"A test tried to open {opened}; the connection was refused before it was made.",
        facts=[
            *attempt.facts(),
            *superfluous.facts(maker),
            Fact("test database", homes or "none yet"),
            *(each for each in attempt.settings if each.name != "paths"),
        ],
        # The engine may be the application's own, and wants to be led to the test database still.
        remedy=f"{superfluous.remedy(maker)} {remedy}" if maker else remedy,
    )


_NOT_ITS_HOST = (
    "The name is the test database's, and the host is not. Code that takes pg.url apart finds no "
    "host in it, since that is a Unix socket's folder, in the query: give such code pg.tcp_url."
)


def _is_half_of_one(attempt: Attempt) -> bool:
    """Whether the URL has a test database's name, and none of its host."""
    is_loopback = not attempt.url.host or attempt.url.host in guard.LOOPBACK
    names = {each.database for each in attempt.databases}
    return is_loopback and "host" not in attempt.url.query and attempt.url.database in names


def _name(url: URL) -> str:
    if url.database:
        return f'"{guard.masked(url.database)}"'
    if url.get_backend_name() == "postgresql":
        return "its driver's default database"
    return f'"{guard.masked(url.render_as_string())}"'


# ------------------------------------------------------------------- databases of other kinds


def url_of_another_kind(dialect: Dialect, args: Any, parameters: dict[str, Any]) -> URL:
    """Return what an engine of another database than PostgreSQL opens, without its password."""
    named = args[0] if args and isinstance(args[0], str) else None
    database = named or parameters.get("database") or parameters.get("db")
    host = parameters.get("host")
    port = parameters.get("port")
    return URL.create(
        dialect.name,
        host=_HIDDEN if host and _AT in host else host,
        port=int(port) if port else None,
        database=None if database in (None, ":memory:") else str(database),
    )


def is_in_memory(dialect: Dialect, args: Any, parameters: dict[str, Any]) -> bool:
    """Whether an engine of SQLite's opens nothing but memory, or a file that has no name."""
    if dialect.name != "sqlite":
        return False
    named = args[0] if args else parameters.get("database")
    if named in ("", ":memory:"):
        return True
    # Only with uri=True is it more than a file's name (SQLite's manual, "URI Filenames").
    if not isinstance(named, str) or not named.startswith("file:") or not parameters.get("uri"):
        return False
    path, _, query = named.partition("?")
    given = [each for each in query.split("&") if each and not each.startswith("cache=")]
    return given == ["mode=memory"] or (path == "file::memory:" and not given)


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
