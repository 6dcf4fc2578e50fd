"""Refusals that the application caught: a passing test is named, or fails."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Project

_FILES = {
    "application.py": """
        import psycopg2

        def ping():
            try:
                psycopg2.connect("postgresql://dev@127.0.0.1:1/development")
            except Exception:
                return False
    """,
    "tests/unit/test_unit.py": """
        import application
        import psycopg2
        import pytest
        from pgsandbox.errors import DatabaseNotRequested

        def test_swallows():
            assert application.ping() is False

        def test_expects():
            with pytest.raises(DatabaseNotRequested):
                psycopg2.connect("postgresql://dev@127.0.0.1:1/development")
    """,
    "tests/integration/test_integration.py": """
        import application

        def test_swallows_too(db_session):
            assert application.ping() is False
    """,
}


@pytest.fixture(scope="module")
def project(make_project: MakeProject) -> Project:
    """An application that takes a refusal for a database that is down."""
    return make_project(_FILES)


def test_a_passing_test_is_named(project: Project) -> None:
    """With the place; a test that expects the refusal is not."""
    outcome = project.run()
    said = [line for line in outcome.out.splitlines() if "was caught in a passing test" in line]

    assert outcome.counts == {"passed": 3}
    assert len(said) == 2
    assert any("test_swallows (DatabaseNotRequested at application.py:5)" in each for each in said)
    assert any("test_swallows_too (ForeignDatabase at application.py:5)" in each for each in said)


def test_it_fails_where_the_setting_says_so(project: Project) -> None:
    """With the refusal itself."""
    outcome = project.run("--pg-swallowed-refusals=fail")

    assert outcome.counts == {"failed": 2, "passed": 1}
    assert "ForeignDatabase: A test tried to open" in outcome.out


def test_nothing_is_said_where_it_is_to_be_ignored(project: Project) -> None:
    """Then the summary has no such line."""
    outcome = project.run("--pg-swallowed-refusals=ignore")

    assert outcome.counts == {"passed": 3}
    assert "was caught in a passing test" not in outcome.out
