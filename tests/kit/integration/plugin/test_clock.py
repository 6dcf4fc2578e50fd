"""The database's clock: still, moving with each transaction, and set by a test."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Project

_FILES = {
    "models.py": """
        from datetime import date, datetime
        from sqlalchemy import DDL, DateTime, event, func, text
        from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

        class Base(DeclarativeBase):
            pass

        class Order(Base):
            __tablename__ = "orders"
            id: Mapped[int] = mapped_column(primary_key=True)
            by_function: Mapped[datetime] = mapped_column(
                DateTime(timezone=True), server_default=func.now()
            )
            by_keyword: Mapped[datetime] = mapped_column(
                DateTime(timezone=True), server_default=text("CURRENT_TIMESTAMP")
            )
            on_day: Mapped[date] = mapped_column(server_default=text("CURRENT_DATE"))
            by_trigger: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

        FUNCTION = DDL('''CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN NEW.by_trigger = now(); RETURN NEW; END' ''')
        TRIGGER = DDL('''CREATE TRIGGER stamps BEFORE INSERT ON orders
            FOR EACH ROW EXECUTE FUNCTION stamp()''')
        for each in (FUNCTION, TRIGGER):
            event.listen(Base.metadata, "after_create", each)
    """,
    "tests/integration/test_orders.py": """
        from datetime import UTC, datetime, timedelta

        import pytest
        from models import Order
        from sqlalchemy import func, select, text
        from sqlalchemy.orm import Session

        THEN = datetime(2020, 2, 29, 12, tzinfo=UTC)
        EVERY = (
            "now(), transaction_timestamp(), CURRENT_TIMESTAMP, CURRENT_TIMESTAMP(3), "
            "LOCALTIMESTAMP"
        )

        def added(engine):
            with Session(engine) as session:
                order = Order()
                session.add(order)
                session.commit()
                session.refresh(order)
                return order

        def test_each_transaction_is_later(db_engine, db_clock):
            first, second = added(db_engine), added(db_engine)
            for name in ("by_function", "by_keyword", "by_trigger"):
                assert getattr(first, name) < getattr(second, name)

        def test_one_transaction_stands_still(db_engine, db_clock):
            with Session(db_engine) as session:
                first = session.scalar(select(func.now()))
                db_clock.advance(hours=1)
                assert session.scalar(select(func.now())) == first
                session.commit()
                assert session.scalar(select(func.now())) - first >= timedelta(hours=1)

        def test_it_is_set(db_engine, db_clock):
            db_clock.set(THEN)
            order = added(db_engine)
            assert order.by_function == order.by_keyword == order.by_trigger == THEN
            assert str(order.on_day) == "2020-02-29"
            db_clock.advance(timedelta(days=1))
            assert str(added(db_engine).on_day) == "2020-03-01"
            assert db_clock.now == THEN + timedelta(days=1)

        def test_every_word_of_a_statement(db_engine, db_clock):
            db_clock.set(THEN)
            with Session(db_engine) as session:
                session.execute(text("SET TIME ZONE 'UTC'"))
                found = session.execute(text(f"SELECT {EVERY}, 'CURRENT_DATE', CURRENT_DATE")).one()
            assert found[:4] == (THEN,) * 4
            assert found[4] == THEN.replace(tzinfo=None)
            assert (found[5], str(found[6])) == ("CURRENT_DATE", "2020-02-29")

        def test_a_rollback_takes_it_nowhere(db_engine, db_clock):
            db_clock.set(THEN)
            with Session(db_engine) as session:
                session.execute(select(func.now()))
                session.rollback()
                with session.begin_nested() as nested:
                    session.execute(select(func.now()))
                    nested.rollback()
                assert session.scalar(select(func.now())) == THEN

        def test_two_connections_have_their_own(db_engine, db_clock):
            with Session(db_engine) as one, Session(db_engine) as other:
                db_clock.set(THEN)
                assert one.scalar(select(func.now())) == THEN
                db_clock.advance(days=1)
                assert other.scalar(select(func.now())) == THEN + timedelta(days=1)
                assert one.scalar(select(func.now())) == THEN

        def test_the_tests_own_session_sees_it_at_once(db_session, db_clock):
            db_session.scalar(select(func.now()))
            db_clock.set(THEN)
            assert db_session.scalar(select(func.now())) == THEN

        def test_the_next_test_has_the_worlds_clock(db_engine, pg):
            assert added(db_engine).by_function.year > 2025
            assert pg.outside("select now()").year > 2025

        def test_a_moment_has_a_zone(db_clock):
            with pytest.raises(ValueError, match="time zone"):
                db_clock.set(datetime(2020, 1, 1))

        @pytest.mark.pgsandbox(isolation="clone")
        def test_a_clone_has_the_servers_clock(db_engine):
            assert added(db_engine).by_keyword.year > 2025

        @pytest.mark.pgsandbox(isolation="clone")
        def test_a_clone_has_no_clock_to_set(db_clock):
            db_clock.set(THEN)
    """,
}


@pytest.fixture(scope="module")
def project(make_project: MakeProject) -> Project:
    """Orders with each kind of default, and a trigger."""
    return make_project(_FILES)


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_the_clock_moves_with_each_transaction(project: Project, driver: str) -> None:
    """And where a test sets it, until that test ends."""
    url = f"--pg-url=postgresql+{driver}://shop@localhost/{project.name}"
    run = project.run("--pg-clock=moving", url)

    assert run.counts == {"passed": 10, "failed": 1}
    assert "which nobody sets" in run.section("test_a_clone_has_no_clock_to_set")


def test_it_stands_still_by_default(project: Project) -> None:
    """As PostgreSQL's does in one transaction; whoever asks for the fixture hears why."""
    run = project.run("-k", "later or worlds")

    assert run.counts == {"failed": 1, "passed": 1, "deselected": 9}
    alone = project.run("-k", "is_set")
    assert "and the setting clock leaves it still" in alone.section("test_it_is_set")
