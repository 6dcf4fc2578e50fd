"""What the report says of tests that fail, and of tests that passed and should not have."""

from __future__ import annotations

import re

import pytest

from pgsandbox.servers import Server
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import MODELS, Outcome, databases

_FILES = {
    "tests/integration/test_items.py": """
        import psycopg2.extensions
        import pytest
        from models import Item, Order
        from sqlalchemy import create_engine, func, make_url, select, text

        def test_fails(db_session, db_engine):
            db_session.add(Item(name="tea"))
            db_session.flush()
            with db_engine.connect() as connection:
                connection.execute(text("select 'one two   three'"))
            assert not db_session

        def test_fails_after_many_statements(db_session):
            for number in range(100):
                db_session.execute(text(f"select {number}, '{'x' * 1000}'"))
            assert not db_session

        def test_fails_after_making_a_role(db_session):
            db_session.execute(text("create role shop_nobody password 'tr0ub4dor'"))
            db_session.execute(text("select set_config('shop.password', 'tr0ub4dor', true)"))
            assert not db_session

        def test_fails_without_the_database():
            assert not "used"

        @pytest.fixture
        def broken(db_session):
            db_session.add(Item(name="tea"))
            db_session.commit()
            raise RuntimeError("broken")

        def test_fails_in_setup(broken):
            pass

        def test_ends_the_transaction(db_engine):
            with pytest.raises(Exception), db_engine.connect() as connection:
                connection.exec_driver_sql(
                    "create function f(begin int) returns int language sql as 'select 1'; "
                    "commit; select 1"  # the argument is taken for the beginning of a body
                )

        def test_breaks_a_deferred_constraint(db_session):
            db_session.add(Order(item_id=4711))
            db_session.flush()

        def test_writes_from_outside(pg):
            url = pg.server.url_of(make_url(pg.url).database, "postgresql")
            connection = psycopg2.extensions.connection(url.render_as_string(hide_password=False))
            connection.cursor().execute("insert into items (name) values ('tea')")
            connection.commit()
            connection.close()
            create_engine(pg.url).connect().close()

        def test_last(db_session):
            assert db_session.scalar(select(func.count(Item.id))) == 0
    """,
}

_ORDER = """
from sqlalchemy import ForeignKey

class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(
        ForeignKey("items.id", deferrable=True, initially="DEFERRED")
    )
"""


@pytest.fixture(scope="module")
def outcome(make_project: MakeProject) -> Outcome:
    """The run of a project in which nearly every test goes wrong."""
    return make_project({**_FILES, "models.py": MODELS + _ORDER}).run("-vv")


def _sql(outcome: Outcome, title: str) -> list[str]:
    """The lines of the section ``SQL of this test`` below *title*."""
    _, _, section = outcome.section(title).partition(" SQL of this test -")
    return section.lstrip("-\n").splitlines()


def test_outcomes(outcome: Outcome) -> None:
    """Two tests passed, and one of them is an error by what it did to the database."""
    assert outcome.counts == {"failed": 6, "passed": 2, "errors": 2}


def test_a_failing_test_shows_its_sql(outcome: Outcome) -> None:
    """Each statement on a line, with the connection that sent it, and what is still open."""
    begin, insert, second, select, rollback, still_open = _sql(outcome, "test_fails")

    assert begin == "BEGIN  [the test's own session (connection 1)]"
    assert re.fullmatch(
        r"INSERT INTO items .*  \[the test's own session \(connection 1\)\]", insert
    )
    assert select == (
        "select 'one two three'  [an engine that connected at tests/integration/test_items.py:9 "
        "(connection 2)]"
    )
    assert second == "BEGIN" + select[len("select 'one two three'") :]
    assert rollback == "ROLLBACK" + select[len("select 'one two three'") :]
    assert still_open.startswith("open transaction: the test's own session (connection 1): INSERT")


def test_the_sql_has_no_passwords(outcome: Outcome) -> None:
    """Neither the one of a role nor one among the settings; what pytest shows is the test's own."""
    said = "\n".join(_sql(outcome, "test_fails_after_making_a_role"))

    assert "create role shop_nobody password ***" in said
    assert "select set_config('shop.password***, true)" in said


def test_the_sql_is_bounded(outcome: Outcome) -> None:
    """The last thirty statements, three hundred characters of each."""
    lines = _sql(outcome, "test_fails_after_many_statements")

    assert lines[0] == "... 71 statements before"
    assert len(lines) == 32
    assert max(map(len, lines)) < 400


def test_a_failing_setup_shows_its_sql(outcome: Outcome) -> None:
    """What a fixture did before it raised."""
    begin, insert, commit = _sql(outcome, "ERROR at setup of test_fails_in_setup")

    assert begin.startswith("BEGIN  [")
    assert insert.startswith("INSERT INTO items")
    assert commit.startswith("COMMIT  [")


def test_a_failure_without_sql_has_no_section(outcome: Outcome) -> None:
    """A test that did not open the database is reported as everywhere."""
    section = outcome.section("test_fails_without_the_database")

    assert "what PostgreSQL saw" not in section
    assert "SQL of this test" not in section


@pytest.mark.parametrize(
    ("title", "said"),
    [
        (
            "test_ends_the_transaction",
            ["OuterTransactionEnded: A statement ended", "as 'select 1'; commit; select 1"],
        ),
        (
            "test_breaks_a_deferred_constraint",
            ["DeferredConstraintViolated: ", "orders_item_id_fkey", "Key (item_id)=(4711)"],
        ),
        (
            "ERROR at teardown of test_writes_from_outside",
            ["EscapedFromSandbox: ", "items: 1 rows written"],
        ),
    ],
)
def test_a_passing_test_that_did_not_hold_fails(
    outcome: Outcome, title: str, said: list[str]
) -> None:
    """The message stands alone: it names the test and the cause, and no frame of the kit."""
    section = outcome.section(title)

    assert [each for each in said if each not in section] == []
    assert title.rsplit(maxsplit=1)[-1] in section
    assert "pgsandbox/plugin" not in section
    assert "Traceback" not in section
    assert section.count("Background: ") == 1


_SEED = """
planted = []


def seed(session):
    planted.append("once")
    if len(planted) > 1:
        raise RuntimeError("no second crop")
"""

_ESCAPES = """
import psycopg2.extensions
from sqlalchemy import make_url

def test_escapes(db_connection, pg):
    db_connection.exec_driver_sql("select 1")
    url = pg.server.url_of(make_url(pg.url).database, "postgresql")
    connection = psycopg2.extensions.connection(url.render_as_string(hide_password=False))
    connection.cursor().execute("insert into items (name) values ('tea')")
    connection.commit()
    connection.close()

def test_next(db_session): pass

def test_last(request): pass
"""


def test_a_database_that_cannot_be_healed(make_project: MakeProject, server: Server) -> None:
    """Each later test is told why there is none, by one error, and the run ends as any other."""
    project = make_project(
        {"models.py": MODELS + _SEED, "tests/integration/test_items.py": _ESCAPES},
        'seed = "models:seed"',
    )
    outcome = project.run()

    assert outcome.counts == {"passed": 1, "errors": 3}
    assert "EscapedFromSandbox" in outcome.section("ERROR at teardown of test_escapes")
    for title in ("ERROR at setup of test_next", "ERROR at setup of test_last"):
        said = outcome.section(title)
        assert "SchemaNotBuilt: The schema could not be built from the seed models:seed" in said
        assert "RuntimeError: no second crop" in said
        assert "Traceback" not in said
    assert databases(server, project.name) == []
