"""What makes a test fail whatever its own assertions say. Run in order; what follows is clean."""

import contextlib
import gc

import pytest
from psycopg2.extensions import connection as Connection
from shop.models import Item, Part
from sqlalchemy import create_engine, func, insert, make_url, select, text

COUNT = select(func.count(Item.id))
CUT = """select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and state = 'idle in transaction'"""


@pytest.fixture
def engine(pg):
    """The application's engine."""
    return create_engine(pg.url)


@pytest.fixture
def connect(pg):
    """A function that connects to the server itself, where nothing stands in its way."""
    url = pg.server.url_of(make_url(pg.url).database, "postgresql")
    dsn = url.render_as_string(hide_password=False)
    return lambda: Connection(dsn)


# -- interleaving ----------------------------------------------------------------------------------


def test_interleaved(engine):
    """The first transaction is rolled back after the second one wrote and committed."""
    with engine.connect() as one, engine.connect() as two:
        one.execute(insert(Item).values(name="one"))
        two.execute(insert(Item).values(name="two"))
        two.commit()
        one.rollback()


def test_interleaved_by_a_reader(engine):
    """The first transaction is rolled back below the second one's, and somebody looks."""
    with engine.connect() as one, engine.connect() as two, engine.connect() as reader:
        one.execute(insert(Item).values(name="one"))
        two.execute(insert(Item).values(name="two"))
        one.rollback()
        reader.execute(COUNT)


def test_interleaved_and_swallowed(engine):
    """The application catches the error, and the test passes its own assertions."""
    with engine.connect() as one, engine.connect() as two, contextlib.suppress(Exception):
        one.execute(insert(Item).values(name="one"))
        two.execute(insert(Item).values(name="two"))
        two.commit()
        one.rollback()


def test_interleaved_by_an_error(engine):
    """The first transaction fails at its commit after the second one wrote."""
    with engine.connect() as one, engine.connect() as two:
        one.execute(insert(Part).values(item_id=1_000_000))
        two.execute(insert(Item).values(name="two"))
        two.commit()
        one.commit()


def test_interleaved_by_a_savepoint(engine):
    """A savepoint is gone back to after another connection wrote above it; nobody looks."""
    with engine.connect() as one, engine.connect() as two:
        savepoint = one.begin_nested()
        one.execute(insert(Item).values(name="one"))
        two.execute(insert(Item).values(name="two"))
        two.commit()
        with contextlib.suppress(Exception):
            savepoint.rollback()


def test_interleaved_by_a_connection_that_nobody_holds(engine):
    """The garbage collector closes a connection with writes below another's."""
    one = engine.connect()
    one.execute(insert(Item).values(name="one"))
    with engine.begin() as two:
        two.execute(insert(Item).values(name="two"))
    del one
    gc.collect()


def test_interleaved_by_sql(engine):
    """Transactions that are begun and ended by SQL in autocommit mode interleave the same way."""
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as one, engine.connect() as two:
        one.execute(text("begin"))
        one.execute(insert(Item).values(name="one"))
        two.execute(insert(Item).values(name="two"))
        two.commit()
        with contextlib.suppress(Exception):
            one.execute(text("rollback"))


# -- the outer transaction -------------------------------------------------------------------------


def test_a_commit_that_hides(engine):
    """It follows a function whose argument is named begin, as the body of one begins."""
    with engine.connect() as connection:
        cursor = connection.connection.driver_connection.cursor()
        cursor.execute("insert into items (name) values ('one')")
        with contextlib.suppress(Exception):
            cursor.execute(
                "create function f(begin int) returns int language sql as 'select 1'; commit"
            )


# -- constraints -----------------------------------------------------------------------------------


def test_deferred(db_session):
    """Rows of the test's own session break a deferred constraint, and nobody commits them."""
    db_session.add(Part(item_id=1_000_000))
    db_session.flush()


def test_deferred_behind_another(db_session, engine):
    """The application committed above them."""
    db_session.add(Part(item_id=1_000_000))
    db_session.flush()
    with engine.begin() as connection:
        connection.execute(insert(Item).values(name="lamp"))


# -- what leaves the transaction -------------------------------------------------------------------


def test_escaped(db_session, connect):
    """A connection past the endpoint commits a row."""
    connection = connect()
    connection.cursor().execute("insert into items (name) values ('escaped')")
    connection.commit()
    connection.close()
    db_session.scalar(COUNT)


def test_escaped_table(db_session, connect):
    """It makes a table and leaves its session open."""
    connection = connect()
    connection.cursor().execute("create table made_by_test_forever (id integer)")
    connection.commit()
    connection.close()
    db_session.scalar(COUNT)


def test_advisory_lock(db_session):
    """A lock of the session survives the rollback."""
    db_session.execute(text("select pg_advisory_lock(4711)"))


def test_cut(engine):
    """The connection that holds the test is cut."""
    with engine.connect() as connection:
        connection.execute(insert(Item).values(name="lamp"))
        connection.commit()
        with contextlib.suppress(Exception):
            connection.execute(text("select pg_terminate_backend(pg_backend_pid())"))


def test_cut_between_statements(engine, connect):
    """Somebody else cuts it while nothing runs, and the test passes its own assertions."""
    with engine.connect() as connection:
        connection.execute(insert(Item).values(name="lamp"))
    killer = connect()
    killer.cursor().execute(CUT)
    killer.close()


def test_the_last_one_is_clean(db_session):
    """After all of them."""
    assert db_session.scalar(COUNT) == 0
