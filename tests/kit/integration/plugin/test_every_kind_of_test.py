"""Tests of every kind below `paths` are sandboxed, and what one leaves open harms no other."""

from __future__ import annotations

import pytest

from pgsandbox.servers import Server
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome, Project, databases

_FILES = {
    "shop.py": """
        import os

        from models import Item
        from sqlalchemy import create_engine, func, select
        from sqlalchemy.orm import sessionmaker

        Sessions = None

        def sessions():
            global Sessions
            if Sessions is None:
                Sessions = sessionmaker(create_engine(os.environ["SHOP_URL"], pool_size=1))
            return Sessions

        def add(name):
            with sessions().begin() as session:
                session.add(Item(name=name))
                return session.scalar(select(func.count(Item.id)))

        def count():
            with sessions()() as session:
                return session.scalar(select(func.count(Item.id)))
    """,
    "tests/integration/test_0_first.txt": """
        >>> import shop
        >>> shop.add("tea")
        1
        >>> shop.add("rum")
        2
    """,
    "tests/integration/test_0_second.txt": """
        >>> import shop
        >>> shop.add("tea")
        1
    """,
    "tests/integration/test_1_functions.py": """
        import shop

        def test_first():
            assert shop.add("tea") == 1

        def test_second():
            assert shop.add("tea") == 1

        class TestClass:
            def test_first(self):
                assert shop.add("tea") == 1

            def test_second(self):
                assert shop.add("tea") == 1
    """,
    "tests/integration/test_2_unittest.py": """
        import unittest

        import shop

        class Cases(unittest.TestCase):
            def setUp(self):
                self.assertEqual(shop.add("rum"), 1)
                self.addCleanup(lambda: self.assertEqual(shop.count(), 2))

            def test_first(self):
                self.assertEqual(shop.add("tea"), 2)

            def test_second(self):
                self.assertEqual(shop.add("tea"), 2)

            def test_subtests(self):
                with self.subTest("one"):
                    self.assertEqual(shop.add("tea"), 2)

        class AsyncCases(unittest.IsolatedAsyncioTestCase):
            async def test_first(self):
                self.assertEqual(shop.add("tea"), 1)
    """,
    "tests/integration/test_3_leftovers.py": """
        import threading

        import pytest
        import shop
        from models import Item
        from sqlalchemy import create_engine, text

        left = []

        @pytest.fixture
        def broken_setup(db_session):
            db_session.add(Item(name="tea"))
            db_session.commit()
            raise RuntimeError("broken set-up")

        @pytest.fixture
        def broken_teardown(db_session):
            yield db_session
            raise RuntimeError("broken teardown")

        def test_broken_setup(broken_setup): pass

        def test_after_broken_setup():
            assert shop.add("tea") == 1

        def test_broken_teardown(broken_teardown):
            broken_teardown.add(Item(name="tea"))
            broken_teardown.commit()

        def test_after_broken_teardown():
            assert shop.add("tea") == 1

        def test_leaves_a_session_open():
            session = shop.sessions()()
            left.append(session)
            session.add(Item(name="tea"))
            session.flush()

        def test_after_a_session_left_open():
            assert shop.add("tea") == 1

        def test_leaves_connections_open(pg):
            engine = create_engine(pg.url)
            left.append(engine.connect())
            left[-1].execute(text("insert into items (name) values ('rum')"))
            left[-1].commit()
            left.append(engine.raw_connection())
            left[-1].cursor().execute("insert into items (name) values ('gin')")

        def test_after_connections_left_open():
            assert shop.add("tea") == 1

        def test_leaves_a_failed_transaction(db_session):
            left.append(db_session)
            with pytest.raises(Exception):
                db_session.execute(text("select nonsense"))

        def test_after_a_failed_transaction(db_session):
            assert shop.add("tea") == 1

        go, done = threading.Event(), threading.Event()

        def work(engine):
            with engine.connect() as connection:
                connection.execute(text("insert into items (name) values ('rum')"))
                done.set()
                go.wait()

        def test_leaves_a_thread(db_engine):
            left.append(threading.Thread(target=work, args=(db_engine,)))
            left[-1].start()
            done.wait()

        def test_after_a_thread():
            assert shop.add("tea") == 1
            go.set()
            left[-1].join()
            assert shop.count() == 1

        @pytest.mark.skip
        def test_skipped(): pass

        @pytest.mark.xfail(strict=True)
        def test_xfail():
            shop.add("tea")
            shop.add("tea")

        def test_after_xfail():
            assert shop.add("tea") == 1
    """,
}


@pytest.fixture(scope="module")
def project(make_project: MakeProject) -> Project:
    """An application with an engine of its own, and tests of every kind."""
    return make_project(_FILES, 'child-env = ["SHOP_URL"]')


@pytest.fixture(scope="module")
def outcome(project: Project) -> Outcome:
    """Its run, each test in the order in which it stands there."""
    return project.run("-v", "-rA")


def _passed(outcome: Outcome, file: str) -> int:
    lines = [line for line in outcome.out.splitlines() if line.startswith(f"PASSED {file}")]
    assert file in outcome.out
    return len(lines)


def test_functions_and_methods(outcome: Outcome) -> None:
    """Each sees an empty table, although each commits."""
    assert _passed(outcome, "tests/integration/test_1_functions.py") == 4


def test_unittest(outcome: Outcome) -> None:
    """setUp, test and clean-ups of a TestCase share one sandbox, an asynchronous one's, too."""
    assert _passed(outcome, "tests/integration/test_2_unittest.py") == 4


def test_doctests(outcome: Outcome) -> None:
    """Each text file is a test of its own."""
    assert _passed(outcome, "tests/integration/test_0_") == 2


@pytest.mark.parametrize(
    "test",
    [
        "broken_setup",
        "broken_teardown",
        "a_session_left_open",
        "connections_left_open",
        "a_failed_transaction",
        "a_thread",
        "xfail",
    ],
)
def test_the_next_test_is_clean(outcome: Outcome, test: str) -> None:
    """Whatever a test leaves open or broken."""
    assert f"PASSED tests/integration/test_3_leftovers.py::test_after_{test}\n" in outcome.out


def test_only_what_is_broken_fails(outcome: Outcome) -> None:
    """Leaving things open is no error; a broken fixture is, once."""
    assert (outcome.counts["errors"], outcome.counts["xfailed"]) == (2, 1)
    assert "failed" not in outcome.counts


def test_nothing_is_left(outcome: Outcome, project: Project, server: Server) -> None:
    """Connections that tests left open do not keep the database."""
    assert databases(server, project.name) == []
