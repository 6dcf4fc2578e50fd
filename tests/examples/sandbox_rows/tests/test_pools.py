"""Every pool of SQLAlchemy, whatever happens to the connections in it."""

import gc
from functools import partial

import pytest
from shop.models import Item
from shop.settings import main_url
from sqlalchemy import create_engine, func, insert, select, text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from sqlalchemy.pool import AssertionPool, NullPool, QueuePool, SingletonThreadPool, StaticPool

from pgsandbox.errors import ForeignDatabase

COUNT = select(func.count(Item.id))
POOLS = [NullPool, StaticPool, AssertionPool, QueuePool, SingletonThreadPool]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("pre_ping", [False, True])
def test_every_pool_hands_out_connections_of_the_test(pg, db_session, pool, pre_ping):
    """Commit, rollback and close mean the same with every pool, pinged or not."""
    engine = create_engine(pg.url, poolclass=pool, pool_pre_ping=pre_ping)
    with engine.connect() as connection:
        connection.execute(insert(Item).values(name="committed"))
        connection.commit()
        connection.execute(insert(Item).values(name="forgotten"))
    with engine.begin() as connection:
        connection.execute(insert(Item).values(name="second use"))

    assert db_session.scalar(COUNT) == 2
    assert pg.outside("select count(*) from items") == 0


KEPT = {}


@pytest.mark.parametrize("turn", [1, 2, 3])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("pre_ping", [False, True])
def test_a_pool_that_outlives_its_test_serves_the_next(pg, pool, pre_ping, turn):
    """An engine that several tests use one after the other brings no row from one to the next."""
    engine = KEPT.setdefault(
        (pool, pre_ping), create_engine(pg.url, poolclass=pool, pool_pre_ping=pre_ping)
    )
    with engine.begin() as connection:
        assert connection.scalar(COUNT) == 0
        connection.execute(insert(Item).values(name=f"turn {turn}"))

    with engine.connect() as connection:
        assert connection.scalar(COUNT) == 1


def test_a_pool_of_one_connection_runs_out_as_in_production(pg):
    """The sandbox needs no connection of the application's own pool for itself."""
    engine = create_engine(pg.url, pool_size=1, max_overflow=0, pool_timeout=0.01)
    with engine.connect() as connection:
        connection.execute(insert(Item).values(name="lamp"))
        with pytest.raises(NoConnectionLeft):
            engine.connect()
        connection.commit()

    with engine.connect() as connection:
        assert connection.scalar(COUNT) == 1


def test_a_connection_closed_twice(pg, db_session):
    """A second close changes nothing, neither on SQLAlchemy's connection nor on the driver's."""
    engine = create_engine(pg.url, poolclass=NullPool)
    connection = engine.connect()
    connection.execute(insert(Item).values(name="lamp"))
    connection.commit()
    connection.close()
    connection.close()
    raw = engine.raw_connection()
    driver_connection = raw.driver_connection
    driver_connection.close()
    driver_connection.close()
    with pytest.raises(engine.dialect.loaded_dbapi.Error, match="closed"):
        driver_connection.cursor().execute("select 1")
    raw.invalidate()

    assert db_session.scalar(COUNT) == 1


def test_an_invalidated_connection_reconnects(pg):
    """After invalidate() a connection goes on where a new one of its pool begins."""
    engine = create_engine(pg.url)
    with engine.connect() as connection:
        connection.execute(insert(Item).values(name="committed"))
        connection.commit()
        connection.execute(insert(Item).values(name="lost"))
        connection.invalidate()
        with pytest.raises(InvalidRequestError):
            connection.execute(text("select 1"))
        connection.rollback()

        assert connection.scalar(COUNT) == 1


def test_a_connection_that_nobody_holds_any_more_is_undone(pg, db_session):
    """What a pool gets back from the garbage collector is rolled back."""
    engine = create_engine(pg.url)
    connection = engine.raw_connection()
    connection.cursor().execute("insert into items (name) values ('forgotten')")
    del connection
    gc.collect()

    assert db_session.scalar(COUNT) == 0


@pytest.fixture
def connect(pg):
    """A function that makes a real connection to the test database, without SQLAlchemy."""
    driver = create_engine(pg.url).dialect.import_dbapi()
    return partial(driver.connect, f"postgresql:{pg.url.partition(':')[2]}")


@pytest.mark.parametrize("turn", [1, 2])
@pytest.mark.parametrize("pool", POOLS)
def test_an_engine_with_a_creator_is_in_the_transaction_too(pg, connect, pool, turn):
    """What its own function connects to is the test's."""
    engine = KEPT.setdefault(
        ("creator", pool),
        create_engine(f"{pg.url.partition(':')[0]}://", creator=connect, poolclass=pool),
    )
    with engine.begin() as connection:
        assert connection.scalar(COUNT) == 0
        connection.execute(insert(Item).values(name="lamp"))

    with engine.connect() as connection:
        assert connection.scalar(COUNT) == 1
    assert pg.outside("select count(*) from items") == 0


def test_what_a_creator_set_up_holds(pg, connect):
    """Run-time parameters and autocommit come along from the connection that a creator made."""

    def create():
        connection = connect(options="-c timezone=Asia/Tokyo")
        connection.autocommit = True
        connection.cursor().execute("set search_path to pg_temp, public")
        return connection

    engine = create_engine(f"{pg.url.partition(':')[0]}://", creator=create)
    with engine.connect() as connection:
        assert connection.scalar(text("show time zone")) == "Asia/Tokyo"
        assert connection.scalar(text("show search_path")) == "pg_temp, public"
        assert connection.connection.driver_connection.autocommit is True


def test_a_creator_that_goes_elsewhere_is_refused(pg, connect):
    """A connection to another database is refused before it is made."""
    made = []

    def create():
        made.append(connect(dbname="postgres"))
        return made[0]

    engine = create_engine(f"{pg.url.partition(':')[0]}://", creator=create)
    with pytest.raises(ForeignDatabase, match='"postgres"'):
        engine.connect()

    assert made == []


@pytest.mark.parametrize("pool", POOLS)
def test_a_creator_of_production_is_redirected(pg, pool):
    """A driver's own connect goes where engines go."""
    driver = create_engine(pg.url).dialect.import_dbapi()
    there = partial(driver.connect, f"postgresql:{main_url().partition(':')[2]}")
    engine = create_engine(f"{pg.url.partition(':')[0]}://", creator=there, poolclass=pool)
    with engine.begin() as connection:
        connection.execute(insert(Item).values(name="lamp"))

    with engine.connect() as connection:
        assert connection.scalar(COUNT) == 1
    assert pg.outside("select count(*) from items") == 0
