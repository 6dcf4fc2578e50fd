"""A project that does not configure pgsandbox, on a machine where it is installed."""

from __future__ import annotations

import re

import pytest

from tests.kit.integration.plugin.projects import Outcome, Project

_TESTS = """
import sys

import pytest


def test_no_marker(request):
    assert not [line for line in request.config.getini("markers") if "pgsandbox" in line]


@pytest.mark.parametrize("name", ["db_session", "db_connection", "db_engine", "pg"])
def test_no_fixture(request, name):
    with pytest.raises(pytest.FixtureLookupError):
        request.getfixturevalue(name)


@pytest.mark.parametrize("name", ["sqlalchemy", "psycopg2", "alembic", "flask", "factory"])
def test_nothing_heavy_is_imported(name):
    assert name not in sys.modules


def test_any_database_may_be_opened():
    import sqlalchemy

    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        assert connection.scalar(sqlalchemy.text("select 1")) == 1
"""


@pytest.fixture(scope="module")
def plain(bare_project: Project) -> Project:
    """A project with a pyproject.toml that says nothing of pgsandbox."""
    bare_project.write(
        {"pyproject.toml": "[tool.pytest.ini_options]\n", "tests/integration/test_plain.py": _TESTS}
    )
    return bare_project


@pytest.fixture(scope="module")
def outcome(plain: Project) -> Outcome:
    """Its run, with the plugin loaded."""
    return plain.run("-p", "no:cacheprovider", is_fresh=True)


def test_nothing_is_added(outcome: Outcome) -> None:
    """No marker, no fixture, no import of SQLAlchemy, nothing in any engine's way."""
    assert outcome.counts == {"passed": 11}


def test_nothing_is_said(outcome: Outcome, plain: Project) -> None:
    """The output is that of a run without the plugin, but for pytest's own list of plugins."""
    off = ("-p", "no:pgsandbox", "-p", "no:pgsandbox.plugin")
    without = plain.run("-p", "no:cacheprovider", *off, is_fresh=True)

    assert _lines(outcome) == _lines(without)
    assert outcome.err == without.err == ""


def _lines(outcome: Outcome) -> list[str]:
    return [
        re.sub(r"in \d+\.\d+s", "in 0s", line).strip("= ")
        for line in outcome.out.splitlines()
        if not line.startswith("plugins: ")
    ]
