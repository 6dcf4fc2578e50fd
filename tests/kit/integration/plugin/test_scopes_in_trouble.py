"""Wider fixtures and tests that do what they should not: who is told, and who comes next."""

from __future__ import annotations

import re

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import MODELS, Outcome

_TROUBLE = """
    import subprocess
    import sys

    import pytest
    from models import Item
    from pgsandbox.factories import Factory
    from sqlalchemy import create_engine, func, select, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.orm import Session

    HIDDEN_COMMIT = (  # an argument of that name is taken for the beginning of a body
        "create function f(begin int) returns int language sql as 'select 1'; commit; select 1"
    )
    setups = []


    def add(engine, name):
        setups.append(name)
        with Session(engine) as session:
            session.add(Item(name=name))
            session.commit()


    def names(session):
        return sorted(session.scalars(select(Item.name)))


    @pytest.fixture(scope="module")
    def broken_off(db_engine):
        add(db_engine, "broken off")
        raise ValueError("half-way")


    def test_fixture_that_fails_half_way(broken_off):
        pass


    def test_nothing_of_it_is_left(db_session):
        assert names(db_session) == []


    @pytest.fixture(scope="module")
    def unchecked(db_engine):
        with Session(db_engine) as session:
            session.execute(text("insert into pairs (other) values (42)"))
            yield


    def test_fixture_breaks_a_constraint(unchecked):
        pass


    @pytest.fixture(scope="module")
    def ends_it(db_engine):
        add(db_engine, "ended")
        with db_engine.connect() as connection:
            connection.exec_driver_sql(HIDDEN_COMMIT)


    def test_fixture_ends_the_transaction(ends_it):
        pass


    def test_nothing_of_these_is_left(db_session):
        assert names(db_session) == []


    @pytest.fixture(scope="class")
    def leaves_badly(db_engine):
        add(db_engine, "left badly")
        yield
        raise ValueError("at the end")


    class TestTeardown:
        def test_teardown_fails(self, leaves_badly):
            pass


    def test_nothing_of_that_is_left(db_session):
        assert names(db_session) == []


    @pytest.fixture(scope="module")
    def late(db_engine):
        add(db_engine, "late")


    def test_asks_too_late(request, db_session):
        db_session.add(Item(name="mine"))
        db_session.flush()
        request.getfixturevalue("late")


    def test_asks_late_enough(request, db_session, pg):
        assert names(db_session) == []
        request.getfixturevalue("late")
        assert names(db_session) == ["late"]
        assert len(pg.statements) == 3  # with its BEGIN


    @pytest.fixture(scope="module")
    def base(db_engine, late):
        add(db_engine, "base")
        with db_engine.connect() as connection:
            connection.execute(text("select pg_advisory_lock(1)"))
        yield
        with db_engine.connect() as connection:
            assert connection.scalar(text("select pg_advisory_unlock(1)"))


    BOTH = ["base", "late"]


    def test_a_fixtures_lock_is_not_the_tests(base, db_engine):
        with db_engine.connect() as connection:
            connection.execute(text("select pg_advisory_xact_lock(2)"))


    def test_ends_the_transaction(base, db_engine):
        with db_engine.connect() as connection:
            connection.exec_driver_sql(HIDDEN_COMMIT)


    def test_after_it_ended(base, db_session):
        assert names(db_session) == BOTH


    def test_cuts_the_connection(base, db_engine):
        with db_engine.connect() as connection:
            connection.execute(text("select pg_terminate_backend(pg_backend_pid())"))


    def test_after_it_was_cut(base, db_session):
        assert names(db_session) == BOTH


    def in_another_process(pg, statement):
        url = pg.server.url_of(make_url(pg.url).database, "postgresql")
        text = url.render_as_string(hide_password=False)
        code = "import psycopg2, sys; c = psycopg2.connect(sys.argv[1]); c.autocommit = True; "
        code += "c.cursor().execute(sys.argv[2]); c.close()"
        subprocess.run([sys.executable, "-c", code, text, statement], check=True)


    def test_writes_past_the_door(base, pg):
        in_another_process(pg, "insert into items (name) values ('past')")


    def test_after_that(base, db_session):
        assert names(db_session) == BOTH


    def test_connects_past_the_door(base, pg):
        in_another_process(pg, "select 1")


    def test_uses_another_driver(base, pg):
        other = create_engine(make_url(pg.url).set(drivername="postgresql+psycopg"))
        with Session(other) as session:
            assert names(session) == BOTH


    @pytest.fixture(scope="session")
    def wider(db_engine):
        add(db_engine, "wider")


    def test_wider_one_in_time(wider, base, db_session):
        assert names(db_session) == [*BOTH, "wider"]
        assert setups[-3:] == ["wider", "late", "base"]


    @pytest.fixture(scope="session")
    def widest(db_engine):
        add(db_engine, "widest")


    def test_wider_one_too_late(base, request):
        request.getfixturevalue("widest")


    @pytest.fixture(scope="module")
    def calls_for_another(db_engine, request):
        add(db_engine, "calls")
        request.getfixturevalue("called_for")


    @pytest.fixture(scope="session")
    def called_for(db_engine):
        add(db_engine, "called")


    @pytest.mark.parametrize("time", range(2))
    def test_fixture_calls_for_another(calls_for_another, db_session, time):
        assert {"calls", "called"} <= set(names(db_session))
        db_session.query(Item).delete()
        db_session.commit()


    @pytest.fixture(scope="module")
    def choice(request, db_engine):
        add(db_engine, request.param)
        return request.param


    @pytest.fixture(scope="module")
    def apart(db_engine):
        add(db_engine, "apart")


    @pytest.mark.parametrize("choice", ["one"], indirect=True)
    def test_parameter(choice, db_session):
        assert "one" in names(db_session)


    @pytest.mark.parametrize("choice", ["one"], indirect=True)
    def test_parameter_beneath_another(apart, choice, db_session):
        assert {"apart", "one"} <= set(names(db_session))


    @pytest.mark.parametrize("choice", ["two"], indirect=True)
    def test_parameter_changes_beneath_another(apart, choice, db_session):
        assert {"apart", "two"} <= set(names(db_session))
        assert "one" not in names(db_session)


    @pytest.fixture(scope="module")
    def unwritten(db_engine):
        session = Session(db_engine)
        session.add(Item(name="unwritten"))
        yield session
        session.close()


    @pytest.mark.parametrize("time", range(2))
    def test_unwritten(unwritten, time):
        unwritten.delete(unwritten.scalars(select(Item).filter_by(name="unwritten")).one())
        unwritten.commit()


    class ItemFactory(Factory):
        class Meta:
            model = Item

        name = "made"


    @pytest.fixture(scope="module")
    def made():
        return ItemFactory()


    @pytest.mark.pgsandbox(isolation="clone")
    @pytest.mark.parametrize("time", range(2))
    def test_clone(base, made, db_session, pg, time):
        assert names(db_session) == [*BOTH, "made"] and made in db_session
        assert pg.outside("select count(*) from items") == 3
        made.name = "other"
        db_session.commit()


    def test_unmarked(made):
        pass
"""

_PAIRS = f"""
{MODELS}

from sqlalchemy import ForeignKey


class Pair(Base):
    __tablename__ = "pairs"
    id: Mapped[int] = mapped_column(primary_key=True)
    other: Mapped[int] = mapped_column(
        ForeignKey("pairs.id", deferrable=True, initially="DEFERRED")
    )
"""


@pytest.fixture(scope="module")
def trouble(make_project: MakeProject) -> Outcome:
    """Fixtures and tests that do what they should not, each followed by one that looks."""
    files = {
        "models.py": _PAIRS,
        "tests/integration/test_trouble.py": _TROUBLE,
    }
    return make_project(files).run("-rA")


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("ERROR at setup of test_fixture_that_fails_half_way", "ValueError: half-way"),
        ("ERROR at setup of test_fixture_breaks_a_constraint", "DeferredConstraintViolated: "),
        ("ERROR at setup of test_fixture_ends_the_transaction", "OuterTransactionEnded: "),
        ("ERROR at teardown of TestTeardown.test_teardown_fails", "ValueError: at the end"),
        ("test_asks_too_late", "FixtureTooLate: "),
        ("test_ends_the_transaction", "OuterTransactionEnded: "),
        ("test_cuts_the_connection", "SandboxLost: "),
        ("ERROR at teardown of test_writes_past_the_door", "EscapedFromSandbox: "),
        ("test_wider_one_too_late", "FixtureTooLate: "),
    ],
)
def test_trouble_has_a_name(trouble: Outcome, title: str, said: str) -> None:
    """The fixture or the test that is to blame fails, and says what happened."""
    assert said in trouble.section(title)


def test_trouble_reaches_nobody_else(trouble: Outcome) -> None:
    """Whoever comes next starts from what the fixtures make; these are set up again if need be."""
    failed = set(re.findall(r"^(?:FAILED|ERROR) .*::(\w+)", trouble.out, re.MULTILINE))

    assert failed == {
        "test_fixture_that_fails_half_way",
        "test_fixture_breaks_a_constraint",
        "test_fixture_ends_the_transaction",
        "test_teardown_fails",
        "test_asks_too_late",
        "test_ends_the_transaction",
        "test_cuts_the_connection",
        "test_writes_past_the_door",
        "test_wider_one_too_late",
    }
