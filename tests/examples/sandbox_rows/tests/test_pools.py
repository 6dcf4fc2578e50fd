"""Every pool of SQLAlchemy, whatever happens to the connections in it."""

import gc
from threading import Thread

import pytest
from shop.models import Item
from sqlalchemy import create_engine, event, func, insert, select, text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from sqlalchemy.pool import AssertionPool, NullPool, QueuePool, SingletonThreadPool, StaticPool

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


def test_connections_that_nobody_closed_commit_nothing(pg, db_session):
    """Connections that their pool gets back from the garbage collector are rolled back."""
    engine = create_engine(pg.url)

    def forget():
        connection = engine.raw_connection().driver_connection
        connection.cursor().execute("insert into items (name) values ('forgotten')")

    forget()
    gc.collect()

    assert db_session.scalar(COUNT) == 0


SESSION = []


@pytest.mark.parametrize("turn", [1, 2])
def test_what_a_connect_listener_sets_holds_in_every_test(pg, turn):
    """A pool's connections are set up anew, because a test's end undoes SET as well."""
    if not SESSION:
        engine = create_engine(pg.url)

        @event.listens_for(engine, "connect")
        def set_up(connection, record):
            with connection.cursor() as cursor:
                cursor.execute("set time zone 'Asia/Tokyo'")
                cursor.execute("set search_path to public, pg_temp")
            connection.commit()

        SESSION.append(engine)
    with SESSION[0].connect() as connection:
        assert connection.scalar(text("show time zone")) == "Asia/Tokyo"
        assert connection.scalar(text("show search_path")) == "public, pg_temp"
        connection.rollback()
        assert connection.scalar(text("show time zone")) == "Asia/Tokyo"


def test_options_of_the_connection_hold(pg):
    """What connect_args set for a real connection is set in the sandbox too."""
    options = "-c timezone=Asia/Tokyo -csearch_path=public,pg_temp --statement-timeout=12s"
    engine = create_engine(pg.url, connect_args={"options": options})
    with engine.connect() as connection:
        assert connection.scalar(text("show time zone")) == "Asia/Tokyo"
        assert connection.scalar(text("show search_path")) == "public,pg_temp"
        assert connection.scalar(text("show statement_timeout")) == "12s"


def test_settings_of_two_connections_do_not_mix(pg):
    """SET belongs to its connection."""
    engine = create_engine(pg.url)
    with engine.connect() as one, engine.connect() as other:
        one.execute(text("set time zone 'Asia/Tokyo'"))
        one.commit()

        assert one.scalar(text("show time zone")) == "Asia/Tokyo"
        assert other.scalar(text("show time zone")) != "Asia/Tokyo"


def test_set_local_ends_with_its_transaction(pg):
    """SET LOCAL holds until commit."""
    with create_engine(pg.url).connect() as connection:
        connection.execute(text("set local time zone 'Asia/Tokyo'"))
        connection.commit()

        assert connection.scalar(text("show time zone")) != "Asia/Tokyo"


@pytest.mark.parametrize("turn", [1, 2])
def test_an_engine_with_a_creator(pg, turn):
    """Engines whose connections SQLAlchemy does not make itself."""
    driver = create_engine(pg.url).dialect.import_dbapi()
    dsn = pg.url.replace("+psycopg2", "").replace("+psycopg", "")
    name = pg.url.split(":")[0]
    engine = create_engine(f"{name}://", creator=lambda: driver.connect(dsn))
    with engine.begin() as connection:
        assert connection.scalar(COUNT) == 0
        connection.execute(insert(Item).values(name="lamp"))

    assert pg.outside("select count(*) from items") == 0


def test_a_thread_that_closes_nothing(shop, db_session):
    """A thread ends with an open transaction; nothing of it stays."""

    def work():
        session = shop.open_session().__enter__()
        session.add(Item(name="lamp"))
        session.flush()

    thread = Thread(target=work)
    thread.start()
    thread.join()
    gc.collect()

    assert db_session.scalar(COUNT) in (0, 1)
