"""Ids that assertions may name: ``restart-sequences`` lets each test count from the same number."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject

_FILES = {
    "seeds.py": """
        from models import Item

        def seed(session):
            session.add(Item(name="seeded"))
    """,
    "tests/integration/test_ids.py": """
        import pytest
        from models import Item
        from sqlalchemy import text

        @pytest.mark.parametrize("name", ["tea", "rum", "gin"])
        def test_it_is_the_second(db_session, name):
            item = Item(name=name)
            db_session.add(item)
            db_session.commit()

            assert item.id == 2

        @pytest.fixture(scope="module")
        def standing(db_engine):
            with db_engine.begin() as connection:
                connection.execute(text("insert into items (name) values ('standing')"))

        @pytest.mark.parametrize("name", ["tea", "rum"])
        def test_what_stands_is_never_met_again(standing, db_session, name):
            item = Item(name=name)
            db_session.add(item)
            db_session.commit()

            assert item.id > 2
    """,
}


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg", "asyncpg"])
def test_each_test_counts_from_the_same_number(make_project: MakeProject, driver: str) -> None:
    """After the seed's rows, and after those of a wider fixture."""
    project = make_project(
        _FILES,
        'restart-sequences = true\nseed = "seeds:seed"\nserver = "embedded"\n'
        f'url = "postgresql+{driver}://nobody@127.0.0.1:1/shop"',
    )
    outcome = project.run("-p", "no:randomly")

    assert outcome.counts == {"passed": 5}


def test_without_the_setting_they_go_on(make_project: MakeProject) -> None:
    """As in production, where a rollback gives no number back."""
    outcome = make_project(_FILES, 'seed = "seeds:seed"').run("-p", "no:randomly")

    assert outcome.counts == {"passed": 3, "failed": 2}
