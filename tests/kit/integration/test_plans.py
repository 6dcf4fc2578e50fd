"""Plans on statistics that a test sets, and blocks that count with a limit."""

from __future__ import annotations

import pytest
from sqlalchemy import false, select, text
from sqlalchemy.engine import Connection

from claude_headspace.models import Event, Project
from pgsandbox.plugin.pg import Pg
from tests.integration.factories import EventFactory, ProjectFactory


def ask_for_projects(connection: Connection, times: int) -> None:
    """One after the other, and then for events."""
    for number in range(times):
        connection.execute(select(Project.id).where(Project.id == number))
    connection.execute(select(Event.id).where(false()))


@pytest.fixture
def event(db_session):
    """A row, so that its table has a page."""
    return EventFactory()


def test_an_index_is_used_at_the_size_of_production(pg: Pg, event: Event) -> None:
    """By primary key, in a statement of the ORM and in text."""
    of_orm = pg.explain(select(Event).where(Event.id == 1), rows={"events": 1_000_000})
    of_text = pg.explain(
        "select * from events where id = :id", {"id": 1}, rows={"events": 1_000_000}
    )

    of_orm.assert_index("events", "pk_events")
    assert of_text.indexes == {"events": ["pk_events"]}


def test_a_plan_without_the_index_fails_and_is_shown(pg: Pg, event: Event) -> None:
    """With the statement, and what it does instead."""
    plan = pg.explain(select(Event.id).order_by(Event.payload), rows={"events": 1_000_000})

    with pytest.raises(AssertionError) as refused:
        plan.assert_index("events")

    said = str(refused.value)
    assert said.startswith("The plan does not use an index of events, but none of events.\n\n")
    assert "SELECT events.id FROM events ORDER BY events.payload" in said
    assert "Seq Scan on events  (cost=" in said
    assert "rows=1000000)" in said


def test_the_number_of_rows_is_gone_with_the_plan(
    pg: Pg, event: Event, db_connection: Connection
) -> None:
    """The catalog says what it said."""
    asked = text("select reltuples, relpages from pg_class where relname = 'events'")
    before = db_connection.execute(asked).one()
    pg.explain(select(Event), rows={"events": 1_000_000})

    assert db_connection.execute(asked).one() == before


@pytest.mark.parametrize(
    ("table", "why"), [("projcts", "no such table"), ("fresh", "which is empty")]
)
def test_a_table_without_rows_has_no_size(
    pg: Pg, db_connection: Connection, table: str, why: str
) -> None:
    """The planner would take it for empty whatever was set."""
    db_connection.execute(text("create table fresh (id int)"))
    db_connection.commit()

    with pytest.raises(ValueError, match=why):
        pg.explain(select(Project), rows={table: 10})


def test_a_block_fails_beyond_its_limit(pg: Pg, db_connection: Connection) -> None:
    """And prints what was sent, of the table alone."""
    with pytest.raises(AssertionError) as refused, pg.counting(max=1, table="projects"):
        ask_for_projects(db_connection, 2)

    said = str(refused.value)
    assert said.startswith("2 statements on projects, and the test allows at most 1:\n\n1  SELECT")
    assert "events" not in said
    assert "2 times, values aside: SELECT projects.id" in said


@pytest.mark.parametrize("exactly", [1, 4])
def test_a_block_wants_neither_more_nor_fewer(
    pg: Pg, db_connection: Connection, exactly: int
) -> None:
    """Three are neither one nor four."""
    said = f"3 statements, and the test allows exactly {exactly}"
    with pytest.raises(AssertionError, match=said), pg.counting(exactly=exactly):
        ask_for_projects(db_connection, 2)


def test_a_block_that_has_what_it_wants_passes(pg: Pg, db_connection: Connection) -> None:
    """And says what it was."""
    with pg.counting(exactly=1) as queries:
        db_connection.execute(select(Project.id))

    assert len(queries.of_table("projects")) == 1
    assert len(queries.of_table("events")) == 0


def test_an_error_in_the_block_is_the_error(pg: Pg) -> None:
    """Whoever fails before the end hears of that."""
    with pytest.raises(ZeroDivisionError), pg.counting(exactly=1):
        ProjectFactory.build(id=1 / 0)
