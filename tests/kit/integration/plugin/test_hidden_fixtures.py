"""Fixtures that are named like ours: told where one hides the other, and not where it uses it."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.nightly import by_night

_TESTS = """
    def test_one(db_session): pass
    def test_two(db_session): pass
    def test_three(db_engine): pass
"""
_OWN = """
    import pytest

    @pytest.fixture
    def db_session():
        return "its own"
"""
_LINE = "pgsandbox: the fixture db_session of tests/conftest.py:3 hides pgsandbox's from 2 tests"


def test_a_fixture_that_hides_ours_is_told_once(make_project: MakeProject) -> None:
    """With its place, and for how many tests; in one line of the summary."""
    project = make_project(
        {"tests/conftest.py": _OWN, "tests/integration/test_it.py": _TESTS},
    )
    run = project.run()
    on_workers = project.run("-p", "xdist", "-n", "2")

    assert run.counts == on_workers.counts == {"passed": 3}
    assert run.text.count(_LINE) == on_workers.text.count(_LINE) == 1
    assert run.text.count("hides") == 1


@pytest.mark.parametrize(
    "conftest",
    [
        """
        @pytest.fixture
        def db_session(db_session):
            return db_session
        """,
        """
        @pytest.fixture
        def url(pg):
            return pg.url

        @pytest.fixture
        def db_session(url):
            with Session(create_engine(url)) as session:
                yield session
        """,
        """
        @pytest.fixture
        def db_session(request):
            return request.getfixturevalue("db_session")
        """,
        """
        @pytest.fixture
        async def db_session(db_engine):
            yield db_engine
        """,
        """
        @pytest.fixture
        def session(db_session):
            return db_session
        """,
        """
        from pgsandbox.plugin.fixtures import db_session
        """,
    ],
    ids=["asks for ours", "made from pg", "by request", "asynchronous", "own name", "imported"],
)
def test_one_that_uses_ours_is_meant_so(make_project: MakeProject, conftest: str) -> None:
    """Nothing is said."""
    head = """
        import pytest
        from sqlalchemy import create_engine
        from sqlalchemy.orm import Session
"""
    run = make_project(
        {"tests/conftest.py": head + conftest, "tests/integration/test_it.py": _TESTS}
    ).run("-p", "asyncio", "-o", "asyncio_mode=auto")

    assert run.counts["passed"] == 3
    assert "hides" not in run.text


def test_an_argument_of_parametrize_is_no_fixture(make_project: MakeProject) -> None:
    """A test may call its own arguments what it likes."""
    test = """
    import pytest

    @pytest.mark.parametrize("pg", [13, 14])
    def test_version(pg): assert pg > 12
"""
    run = make_project({"tests/integration/test_it.py": test}).run()

    assert run.counts == {"passed": 2}
    assert "hides" not in run.text


@pytest.mark.parametrize(
    ("is_early", "line"),
    [
        (True, "pgsandbox: its fixture db_session hides that of plugged.py:3 from 2 tests"),
        *by_night(
            (
                False,
                "pgsandbox: the fixture db_session of plugged.py:3 hides pgsandbox's from 2 tests",
            )
        ),
    ],
    ids=["ours", "theirs"],
)
def test_another_plugins_fixture_is_told(
    make_project: MakeProject, is_early: bool, line: str
) -> None:
    """The plugin that is registered last decides: ours comes after those that are installed."""
    files = {"plugged.py": _OWN, "tests/integration/test_it.py": _TESTS}
    late = {} if is_early else {"conftest.py": 'pytest_plugins = ["plugged"]\n'}
    words = ("-p", "plugged") if is_early else ()
    run = make_project({**files, **late}).run(*words, is_fresh=True)

    assert run.counts == {"passed": 3}
    assert line in run.text
