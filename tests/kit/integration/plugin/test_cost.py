"""What a test must not cost: a connection for administration, for instance."""

from __future__ import annotations

from tests.kit.integration.plugin.conftest import MakeProject

_FILES = {
    "conftest.py": """
        import pytest
        from pgsandbox.servers import libpq

        opened = []
        connect = libpq.connect
        libpq.connect = lambda *args, **kwargs: opened.append(args) or connect(*args, **kwargs)

        @pytest.fixture
        def so_far():
            return len(opened)
    """,
    "tests/integration/test_cost.py": """
        import pytest
        from models import Item

        seen = set()

        @pytest.mark.parametrize("name", ["tea", "rum", "gin"])
        def test_writes(so_far, db_session, name):
            db_session.add(Item(name=name))
            db_session.commit()
            seen.add(so_far)

        def test_nothing_was_opened_in_between(so_far):
            assert seen == {so_far}
            assert so_far > 0
    """,
}


def test_a_sandboxed_test_opens_no_connection_for_administration(make_project: MakeProject) -> None:
    """The server and its capacity are looked at before the first test, and not again."""
    outcome = make_project(_FILES).run("-p", "no:randomly")

    assert outcome.counts == {"passed": 4}
