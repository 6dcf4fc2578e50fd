"""Every place that prints a URL, a setting's value or SQL prints it masked; the places are found.

What turns a URL into text, what collects an error's facts and what writes to the terminal is looked
for in the source, so that a new place has to be named here, with what it does about passwords.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

import pgsandbox
from pgsandbox import errors
from pgsandbox.config import header_lines, read, rows
from pgsandbox.errors import Fact, PgSandboxError
from pgsandbox.guard import Target, masked, masked_place, masked_sql
from pgsandbox.plugin import reporting
from pgsandbox.servers import libpq
from pgsandbox.wiring.resolving import place_of

SOURCE = Path(pgsandbox.__file__).parent

SHOWS_THE_PASSWORD = {
    ("plugin/pg.py", "tcp_url"): "the fixture's value, which other programs connect by",
    ("plugin/pg.py", "url_of"): "the fixture's value, which tests connect by",
    ("schema/builders.py", "alembic_config"): "Alembic's sqlalchemy.url, which env.py connects by",
    ("wiring/run.py", "_tell_children"): "the variables that child processes connect by",
}
"""Where a URL becomes text with its password, and what for: none of these is printed."""

MASKS = {"masked", "masked_sql", "Fact", "headline", *vars(errors)}
"""What takes a text and gives it without passwords: an error's facts and its headline do."""


def _rendered() -> Iterator[tuple[str, str, ast.Call, list[ast.AST]]]:
    """Each call of ``render_as_string``: file, function, call, and what it stands in."""
    for file in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(file.read_text())
        yield from _calls(file.relative_to(SOURCE).as_posix(), "", tree, [])


def _calls(
    file: str, function: str, node: ast.AST, around: list[ast.AST]
) -> Iterator[tuple[str, str, ast.Call, list[ast.AST]]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        function, around = node.name, []
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "render_as_string"
    ):
        yield file, function, node, around
    for child in ast.iter_child_nodes(node):
        yield from _calls(file, function, child, [*around, node])


def _with_password(call: ast.Call) -> bool:
    return any(
        each.arg == "hide_password" and getattr(each.value, "value", None) is False
        for each in call.keywords
    )


def _is_masked(around: list[ast.AST]) -> bool:
    names = (
        getattr(each.func, "attr", getattr(each.func, "id", ""))
        for each in around
        if isinstance(each, ast.Call)
    )
    return any(name in MASKS for name in names)


def test_a_url_with_its_password_is_text_only_where_something_connects_by_it():
    """Everywhere else the text goes straight into a mask."""
    bare = {
        (file, function)
        for file, function, call, around in _rendered()
        if _with_password(call) and not _is_masked(around)
    }

    assert bare == set(SHOWS_THE_PASSWORD)


def test_a_url_without_its_password_is_masked_as_well():
    """SQLAlchemy hides what stands in the password's place, and nothing among the options."""
    unmasked = {
        f"{file}: {function}"
        for file, function, call, around in _rendered()
        if not _with_password(call) and not _is_masked(around)
    }

    # Both texts there go into the headline and a fact of one error.
    assert unmasked <= {"sandbox/refused_connections.py: _foreign"}


URLS = [
    "postgresql+psycopg2://app:hun@ter2@db/shop",
    "postgresql+psycopg2://app:ter2@db/shop?options=-c%20x.password%3Dhun",
    "postgresql+psycopg2://app@db/shop?password=hunter2",
    "postgresql+psycopg2://app@db/shop?sslpassword=hunter2",
]
UNPARSED = [
    *URLS,
    "postgresql+psycopg2//app:hunter2@db/shop",
    "postgresql+psycopg2://app:hunter2%40db/shop",
    "host=db password=hunter2",
]
STATEMENTS = [
    "create role app login password 'hunter2'",
    "alter role app password $$hunter2$$",
    "select set_config('app.password', 'hunter2', false)",
    "select dblink_connect('host=db password=hunter2')",
]
PRINTS_A_URL = {
    "a host and port": lambda url: place_of(make_url(url)),
    "libpq's host and port": lambda url: libpq.place(
        libpq.arguments(libpq.normalised(make_url(url)))
    ),
    "a server's URL": lambda url: libpq.masked(make_url(url)),
    "a target": lambda url: str(Target(make_url(url).host, 5432, "shop")),
    "how to look at a database": lambda url: reporting.line_of_kept(make_url(url)),
    "a rendered URL as a fact": lambda url: Fact("url", make_url(url).render_as_string()).value,
}
PRINTS_A_TEXT = {
    "a fact": lambda text: str(PgSandboxError("x", facts=[Fact("said", text)])),
    "the facts as they are": lambda text: repr(PgSandboxError("x", facts=[Fact("a", text)]).facts),
    "a headline": lambda text: str(PgSandboxError(f"This failed: {text}")),
    "a headline's own text": lambda text: repr(PgSandboxError(f"This failed: {text}")),
    "a failing test's section": reporting._one_line,
    "the mask itself": masked_sql,
    "the mask of URLs": masked,
}


def _is_hidden(text: str) -> bool:
    return "hun" not in text and "ter2" not in text


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("place", PRINTS_A_URL)
def test_a_url_that_could_be_parsed_is_printed_without_its_password(place, url):
    """Also what an unescaped @ made a host of."""
    assert _is_hidden(PRINTS_A_URL[place](url))


@pytest.mark.parametrize("text", [*UNPARSED, *STATEMENTS])
@pytest.mark.parametrize("place", PRINTS_A_TEXT)
def test_a_text_is_printed_without_the_passwords_in_it(place, text):
    """Whether it is a statement, or what somebody wrote for a URL."""
    assert _is_hidden(PRINTS_A_TEXT[place](text))


@pytest.mark.parametrize("url", [url for url in UNPARSED if "//" in url])
def test_settings_are_printed_without_passwords(tmp_path, url):
    """In the header, in `doctor`, and in a refusal."""
    (tmp_path / "pyproject.toml").write_text('[tool.pgsandbox]\nmetadata = "a:b"\n')
    found = read(tmp_path, {"TEST_DATABASE_URL": url}, {})

    assert _is_hidden(repr((list(rows(found)), header_lines(found))))


def test_a_place_keeps_what_is_no_password():
    """An address, a folder, and the end of what was taken for a host."""
    assert masked_place("db.example:5432") == "db.example:5432"
    assert masked_place("/run/postgresql") == "/run/postgresql"
    assert masked_place("ter2@db:5432") == "***@db:5432"


def test_what_is_collected_can_be_sent_to_another_process():
    """A worker of pytest-xdist sends its errors on, and their facts stay masked."""
    error = PgSandboxError("x", facts=[Fact("said", "alter role a password 'hunter2'")])
    kind, arguments = error.__reduce__()[:2]

    assert str(kind(*arguments)) == str(error)
