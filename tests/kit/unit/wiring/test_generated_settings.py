"""Whatever people write for a URL or a setting: a named error, and never a part of a password.

The examples are the same in every run; with ``GENERATED=20000`` so many new ones are tried.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from types import ModuleType
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from psycopg2.extensions import parse_dsn
from sqlalchemy.engine import URL, make_url

from pgsandbox.config import Settings, header_lines, read, rows
from pgsandbox.errors import PgSandboxError
from pgsandbox.guard import Target, masked, masked_sql
from pgsandbox.plugin.reporting import line_of_kept
from pgsandbox.sandbox.driver_hooks import target_of_call
from pgsandbox.sandbox.refused_connections import Attempt, foreign, not_judged, not_requested
from pgsandbox.sandbox.refused_connections import url_of as shown_of
from pgsandbox.servers import libpq
from pgsandbox.wiring import Project, Run, target_of
from pgsandbox.wiring.resolving import addresses_of, driver_of, place_of, url_of

_LONG = int(os.environ.get("GENERATED", "0"))
_SETTINGS = settings(
    max_examples=_LONG or 200,
    derandomize=not _LONG,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

_PARTS = ("Zq7x", "wV9k", "Jj3p")
"""What passwords are made of, and no message may have."""

_DELIMITERS = [*"@:/?#%&=+,;'\"[]()$\\!*| \t", "%40", "%2540", "%3A", "%2F", "%zz", "ß", "\u0663"]
_delimited = st.lists(st.sampled_from(_DELIMITERS), max_size=2).map("".join)
_password = st.tuples(_delimited, *(_delimited for _ in _PARTS)).map(
    lambda between: between[0] + "".join(p + d for p, d in zip(_PARTS, between[1:], strict=True))
)
"""As people type it, with any delimiter unescaped."""
_escaped = _password.map(lambda text: quote(text, safe=""))
_any_password = st.one_of(_password, _escaped)

_scheme = st.sampled_from(
    [
        *("postgresql://", "postgresql+psycopg2://", "postgres://", "postgresql+asyncpg://"),
        *("postgresql+psycopg2//", "postgresql:/", "postgresql:", "://", "//", ""),
        *("postgresql+nothing://", "mysql://", "sqlite://", "jdbc:postgresql://", "PostgreSQL://"),
    ]
)
_user = st.sampled_from(["app", "", "me@corp", "a%40b", "$USER", "ü", "a b"])
_at = st.sampled_from(["@", "@", "@", "%40"])
_host = st.sampled_from(
    [
        *("127.0.0.1", "db.example", "", "[::1]", "[::1", "::1", "$PGHOST", "h1:1,h2:2", "h1,h2"),
        *("a" * 70, "a..b", "ho st", "%2Frun%2Fpg", "h\u00f6st", "[fe80::1%25eth0]", "-", "h%00"),
    ]
)
_port = st.sampled_from(
    [
        "",
        ":1",
        ":0",
        ":99999",
        ":-1",
        ":$PGPORT",
        ":${PGPORT}",
        ":abc",
        ":\u0663",
        ": 1",
        ":",
        ":1:2",
    ]
)
_database = st.sampled_from(
    ["/shop", "/", "", "/shop%00", "//x", "/a@b", "/s h", "/shop#1", "/%2540"]
)
_option = st.sampled_from(
    [
        *("", "?", "?host=h1&host=h2&host=h3&port=1&port=2", "?host=h1:1&host=h2:2", "?port=abc"),
        *(
            "?host=h1,h2&port=1",
            "?user=a&user=b",
            "?dbname=x&dbname=y",
            "?port=0",
            "?sslmode=maybe",
        ),
        *("?host=%2Frun,%2Ftmp", "?service=x", "?options", "?=", "?host=", "?application_name=%00"),
    ]
)
_secret_option = st.builds(
    lambda name, password: f"?{name}{quote(password, safe='')}",
    st.sampled_from(
        ["password=", "sslpassword=", "options=-c%20x.password%3D", "options=-c+app.secret%3D"]
    ),
    _password,
)

_url = st.one_of(
    st.tuples(
        _scheme, _user, st.just(":"), _any_password, _at, _host, _port, _database, _option
    ).map("".join),
    st.tuples(_scheme, _user, st.just("@"), _host, _port, _database, _secret_option).map("".join),
    st.tuples(st.sampled_from(["postgresql://", "postgres://"]), _host, _secret_option).map(
        "".join
    ),
    st.builds(
        lambda key, password: f"host=db {key}='{password}' user=app",
        st.sampled_from(["password", "sslpassword"]),
        _escaped,
    ),
)

_SMALLEST = '[tool.pgsandbox]\nmetadata = "pgs_generated:Base"\n'


@pytest.fixture(scope="module", autouse=True)
def generated() -> Iterator[ModuleType]:
    """The module that settings refer to."""
    module = ModuleType("pgs_generated")
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory):
    """The project's root."""
    return tmp_path_factory.mktemp("generated")


def _fails_with(url: str):
    raise RuntimeError(f"can't connect to {url}")


def _parsed(url: str) -> URL:
    return make_url(url)


_PLACES = {
    "the setting": lambda url: (f"url = {json.dumps(url)}\n", {}, None),
    "its variable": lambda url: ("", {"PGSANDBOX_URL": url}, None),
    "TEST_DATABASE_URL": lambda url: ("", {"TEST_DATABASE_URL": url}, None),
    "a bind": lambda url: (
        f'binds.b = {{ url = {json.dumps(url)}, metadata = "pgs_generated:Base" }}\n',
        {},
        None,
    ),
    "allow": lambda url: (f"allow = [{json.dumps(url)}]\n", {}, None),
    "another setting": lambda url: (f"seed = {json.dumps(url)}\n", {}, None),
    "a list": lambda url: (f"url = [{json.dumps(url)}]\n", {}, None),
    "a choice": lambda url: (f"server = {json.dumps(url)}\n", {}, None),
    "paths": lambda url: (f"paths = [{json.dumps(url)}]\n", {}, None),
    "migrations": lambda url: (f"migrations = {json.dumps(url)}\n", {}, None),
    "no setting": lambda url: (f"ulr = {json.dumps(url)}\n", {}, None),
    "ignored differences": lambda url: (f"schema-ignore = [{json.dumps(url)}]\n", {}, None),
    "a function": lambda url: ('url = "pgs_generated:url"\n', {}, lambda: url),
    "a function of SQLAlchemy's": lambda url: (
        'url = "pgs_generated:url"\n',
        {},
        lambda: _parsed(url),
    ),
    "a function that fails": lambda url: (
        'url = "pgs_generated:url"\n',
        {},
        lambda: _fails_with(url),
    ),
    "a constant": lambda url: ('url = "pgs_generated:url"\n', {}, url),
}


def _said(root, text: str, environ: dict[str, str]) -> Iterator[str]:
    """All that a run says before it connects to anything: its settings, or why it ends."""
    (root / "pyproject.toml").write_text(_SMALLEST + text)
    try:
        found = read(root, environ, {})
        assert found is not None
        yield from ("\n".join(header_lines(found)), repr(list(rows(found))))
        for url in _urls(found):
            yield from _words_about(url)
    except PgSandboxError as error:
        yield from (str(error), repr(error), repr(error.facts))


def _urls(found: Settings) -> Iterator[URL]:
    project = Project(found)
    if found.test_database_url is not None:
        yield url_of(found.test_database_url, "TEST_DATABASE_URL")
    for url in (project.application_url(), project._url_from(_bound(found), "binds.b.url")):
        if url is not None:
            yield url


def _bound(found: Settings) -> str | None:
    return found.binds["b"].url if "b" in found.binds else None


def _words_about(url: URL) -> Iterator[str]:
    yield str(target_of(url))
    yield place_of(url)
    yield str(addresses_of(url))
    yield libpq.place(libpq.arguments(libpq.normalised(url)))
    yield libpq.masked(url)
    yield line_of_kept(url)
    yield driver_of(url)


def _shows_a_part(text: str) -> bool:
    return any(part.lower() in text.lower() for part in _PARTS)


@pytest.mark.parametrize("place", _PLACES)
def test_a_url_is_read_or_refused_by_name_and_never_shown_whole(place, root, generated):
    """Nothing but an error of pgsandbox, and nothing of the password in it or in any other word."""

    @settings(_SETTINGS, max_examples=max(_SETTINGS.max_examples // len(_PLACES), 25))
    @given(url=_url)
    def check(url: str) -> None:
        text, environ, generated.url = _PLACES[place](url)
        said = "\n".join(_said(root, text, environ))
        note(said)
        assert not _shows_a_part(said)

    check()


_drivers = st.sampled_from(["psycopg2", "psycopg", "asyncpg"])
_colons = st.sampled_from([":", "%3A"])
_databases = st.sampled_from(["/shop", "", "/"])
_typo = st.sampled_from([*"@:/?#", "%40", "%3A"]).map(lambda each: each.join(_PARTS))
_readable = st.builds("postgresql://app{}{}@db.example{}".format, _colons, _typo, _databases)


@_SETTINGS
@given(url=_readable, driver=_drivers, is_engine=st.booleans())
def test_a_connection_that_is_refused_shows_no_part_of_a_password(url, driver, is_engine):
    """An unescaped delimiter makes the host, the database or the role of what follows it."""
    read = _target_of_engine if is_engine else _target_of_call
    try:
        target = read(driver, url)
    except Exception:  # noqa: BLE001  # the driver, or SQLAlchemy, can't read it, and says so
        return
    attempt = Attempt("a test", shown_of(driver, target), None, (), ())
    errors = (foreign(attempt), not_requested(attempt), not_judged(attempt, "x", is_requested=True))
    said = "\n".join(map(str, errors))
    note(said)

    assert not _shows_a_part(said)


def _target_of_engine(driver: str, url: str) -> Target:
    dialect = make_url(url).set(drivername=f"postgresql+{driver}").get_dialect()()
    args, parameters = dialect.create_connect_args(make_url(url))
    return target_of_call(driver, tuple(args), parameters)


def _target_of_call(driver: str, url: str) -> Target:
    if driver == "asyncpg":
        return target_of_call(driver, (), {"dsn": url})
    return target_of_call(driver, (), parse_dsn(url))


@_SETTINGS
@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("metadata", "url", "server", "schema", "migrations", "app", "paths", "redirect"),
                *(
                    "allow",
                    "extensions",
                    "seed",
                    "binds",
                    "child-env",
                    "forbidden-imports",
                    "reuse",
                ),
                *("schema-ignore", "large-tables", "keep", "pg"),
            ]
        ),
        st.recursive(
            st.one_of(
                st.booleans(),
                st.integers(),
                st.text(st.characters(exclude_categories=("Cs",)), max_size=12),
                st.sampled_from(
                    ["pgs_generated:Base", "embedded", "migrations", "a:b", "postgresql://h/d"]
                ),
            ),
            lambda children: st.lists(children, max_size=3),
            max_leaves=4,
        ),
        max_size=4,
    )
)
def test_any_value_of_any_setting_is_read_or_refused_by_name(root, values):
    """Of whatever type, in whatever combination."""
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in values.items()]

    said = list(_said_of_any(root, "".join(lines)))

    assert said


def _said_of_any(root, text: str) -> Iterator[str]:
    (root / "pyproject.toml").write_text("[tool.pgsandbox]\n" + text)
    try:
        found = read(root, {}, {})
        assert found is not None
        yield repr(list(rows(found)))
        Run(found)
    except PgSandboxError as error:
        yield str(error)


_literal = st.one_of(
    _password.map(lambda text: "'" + text.replace("'", "''") + "'"),
    _password.map(lambda text: "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"),
    _password.map(lambda text: f"$pw${text.replace('$', '')}$pw$"),
)


@_SETTINGS
@given(
    st.builds(
        str.format,
        st.sampled_from(
            [
                "CREATE ROLE app LOGIN PASSWORD {0}",
                "alter role app with encrypted password {0} valid until 'infinity'",
                "ALTER USER app PASSWORD/* the new one */{0}; SELECT 1",
                "CREATE USER MAPPING FOR app SERVER s OPTIONS (user 'a', password {0})",
                "SELECT set_config('app.password', {0}, false)",
                "SET app.secret = {0}",
                "ALTER DATABASE shop SET app.token TO {0}",
                "UPDATE users SET password = {0} WHERE id = 1",
                "DO $do$ BEGIN EXECUTE format('ALTER ROLE a PASSWORD %L', {0}); END $do$",
            ]
        ),
        _literal,
    )
)
def test_no_statement_shows_a_password(statement):
    """However it is quoted, and wherever the text is cut."""
    shown = masked_sql(statement)
    cut = masked_sql(statement[: len(statement) * 2 // 3])

    assert not _shows_a_part(shown)
    assert not _shows_a_part(cut)


@_SETTINGS
@given(st.text() | _url | st.lists(st.sampled_from(_DELIMITERS)).map("".join))
def test_masking_never_raises_and_twice_changes_nothing(text):
    """It stands in the way of every message, and of messages about messages."""
    for mask in (masked, masked_sql):
        once = mask(text)

        assert mask(once) == once


def test_what_the_generator_makes_does_show_without_masking():
    """The parts that are looked for are there."""
    assert _shows_a_part(f"postgresql://app:{quote_plus('@'.join(_PARTS))}@db/shop")
