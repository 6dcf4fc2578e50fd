"""Factories find the session of the running test, whether it asked for one or not."""

from __future__ import annotations

import re

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome

_FILES = {
    "factories.py": """
        import factory
        from models import Item

        from pgsandbox.factories import Factory

        class ItemFactory(Factory):
            class Meta:
                model = Item

            name = factory.Sequence(lambda number: f"item {number}")
    """,
    "tests/integration/test_items.py": """
        import pytest
        from factories import ItemFactory
        from models import Item
        from sqlalchemy import select

        @pytest.fixture
        def item():
            return ItemFactory()

        def test_without_asking(pg):
            item = ItemFactory()
            assert (item.id is not None, item.name) == (True, "item 0")
            assert pg.outside("select count(*) from items") == 0

        def test_in_a_fixture(item, db_session):
            assert db_session.scalars(select(Item)).one() is item

        def test_sequences_begin_anew():
            assert [ItemFactory().name, ItemFactory().name] == ["item 0", "item 1"]
    """,
    "tests/unit/test_asking.py": """
        import pytest
        from factories import ItemFactory

        @pytest.mark.pgsandbox
        def test_marked():
            assert ItemFactory().name == "item 0"
    """,
    "tests/unit/test_plain.py": """
        from factories import ItemFactory

        def test_unit():
            ItemFactory()

        def test_build():
            assert ItemFactory.build().id is None
    """,
    "tests/unit/test_module.py": """
        from factories import ItemFactory

        ItemFactory()
    """,
}


@pytest.fixture(scope="module")
def outcome(make_project: MakeProject) -> Outcome:
    """The run of a project with a factory and tests of both kinds."""
    return make_project(_FILES).run("--continue-on-collection-errors")


def test_factories_find_the_session(outcome: Outcome) -> None:
    """In a test, in a fixture, by the marker; nobody has to pass or to request a session."""
    assert outcome.counts == {"passed": 5, "failed": 1, "errors": 1}


def test_a_unit_test_has_no_session(outcome: Outcome) -> None:
    """The error says so, and says how to get one."""
    said = outcome.section("test_unit")

    assert "NoSession" in said
    assert re.search("db_session|pgsandbox", said)


def test_a_module_has_no_session(outcome: Outcome) -> None:
    """A factory that is called at import time is told the same."""
    assert "NoSession" in outcome.section("ERROR collecting tests/unit/test_module.py")
