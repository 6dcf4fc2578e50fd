"""Sessions, engines and raw connections: inside of its test, everything is as in production."""

import gc
from contextlib import closing

import pytest
from shop.models import Item
from shop.settings import main_url
from sqlalchemy import create_engine, func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

COUNT = select(func.count(Item.id))
INSERT = "insert into items (name) values ('raw')"


def names(session):
    """The names of all items, as *session* sees them."""
    return sorted(session.scalars(select(Item.name)))


# -- sessions --------------------------------------------------------------------------------------


def test_commit_is_visible_to_every_later_reader(shop, db_session, pg):
    """Another session, another engine and the test itself see a commit; nobody outside does."""
    with shop.open_session() as session:
        session.add(Item(name="lamp"))
        session.commit()

    with shop.open_session() as another:
        assert names(another) == ["lamp"]
    with shop.engine().connect() as connection:
        assert connection.scalar(COUNT) == 1
    with create_engine(pg.url).connect() as connection:
        assert connection.scalar(COUNT) == 1
    assert names(db_session) == ["lamp"]
    assert pg.outside("select count(*) from items") == 0


def test_the_application_sees_what_the_test_arranged(shop, db_session, pg):
    """What the test's own session committed, and what it only flushed, is there to be read."""
    db_session.add(Item(name="committed"))
    db_session.commit()
    db_session.add(Item(name="flushed"))
    db_session.flush()

    with shop.open_session() as session:
        assert names(session) == ["committed", "flushed"]
    assert pg.outside("select count(*) from items") == 0


def test_rollback_undoes_only_its_own_transaction(shop, db_session):
    """Earlier commits and the test's own rows stay."""
    db_session.add(Item(name="the test's"))
    db_session.flush()

    with shop.open_session() as session:
        session.add(Item(name="first"))
        session.commit()
        session.add(Item(name="second"))
        session.commit()
        session.add(Item(name="third"))
        session.flush()
        session.rollback()

        assert names(session) == ["first", "second", "the test's"]
    assert names(db_session) == ["first", "second", "the test's"]


def test_work_goes_on_after_an_integrity_error(shop, db_session):
    """The failed transaction is undone; the one before it and the one after it stand."""
    with shop.open_session() as session:
        session.add(Item(name="lamp"))
        session.commit()
        session.add_all([Item(name="chair"), Item(name="lamp")])
        with pytest.raises(IntegrityError):
            session.commit()
        session.rollback()
        session.add(Item(name="table"))
        session.commit()

    assert names(db_session) == ["lamp", "table"]


def test_the_tests_own_rollback_leaves_the_applications_commit(shop, db_session):
    """The test's session held flushed rows before, and an error of its own makes it roll back."""
    db_session.add(Item(name="the test's"))
    db_session.flush()
    with shop.open_session() as session:
        session.add(Item(name="lamp"))
        session.commit()

    db_session.add(Item(name="lamp"))
    with pytest.raises(IntegrityError):
        db_session.flush()
    db_session.rollback()

    with shop.open_session() as session:
        assert "lamp" in names(session)
    assert "lamp" in names(db_session)


def test_the_tests_own_rollback_leaves_an_open_transaction_of_the_application(shop, db_session):
    """The application is in the middle of its transaction, and commits it afterwards."""
    db_session.add(Item(name="the test's"))
    db_session.flush()

    with shop.open_session() as session:
        session.add(Item(name="lamp"))
        session.flush()
        db_session.rollback()
        session.commit()

    assert "lamp" in names(db_session)


def test_the_tests_own_rollback_undoes_its_rows(db_session):
    """Where the application wrote nothing since, a rollback of the test's is a rollback."""
    db_session.add(Item(name="kept"))
    db_session.commit()
    db_session.add(Item(name="undone"))
    db_session.flush()
    db_session.rollback()

    assert names(db_session) == ["kept"]


def test_a_forgotten_commit_is_seen(shop, db_session):
    """What a session did not commit is undone when it closes, as in production."""
    with shop.open_session() as session:
        session.add(Item(name="committed"))
        session.commit()
        session.add(Item(name="forgotten"))
        session.flush()

    assert names(db_session) == ["committed"]


def test_a_forgotten_session_is_undone_when_nobody_holds_it(shop, db_session):
    """A connection that the garbage collector closes commits nothing."""
    connection = shop.engine().raw_connection()
    connection.cursor().execute(INSERT)
    connection.detach()
    del connection
    gc.collect()

    assert names(db_session) == []


def test_a_session_left_open_at_the_end_of_its_test_leaves_nothing(shop):
    """The fixture of this project looks at the tables before and after each test."""
    context = shop.open_session()
    session = context.__enter__()  # on purpose without an end
    session.add(Item(name="open"))
    session.flush()

    assert names(session) == ["open"]


def test_sessions_left_open_may_end_in_any_order(shop, pg, db_session):
    """Two sessions that nobody commits are rolled back, whoever goes first."""
    engine = create_engine(pg.url)
    with shop.open_session() as first:
        first.add(Item(name="first"))
        first.flush()
        second = engine.connect()
        second.execute(insert(Item).values(name="second"))
        first.rollback()
        second.rollback()

        assert names(first) == []
    second.close()


# -- engines and Core ------------------------------------------------------------------------------


def test_engine_begin_commits_at_the_end_of_its_block(shop, db_session):
    """The rows of the block stand, and those of a block that raises do not."""
    with shop.engine().begin() as connection:
        connection.execute(insert(Item).values(name="stands"))
    with pytest.raises(IntegrityError), shop.engine().begin() as connection:
        connection.execute(insert(Item), [{"name": "falls"}, {"name": "stands"}])

    assert names(db_session) == ["stands"]


def test_connect_and_commit_as_you_go(shop, db_session):
    """A connection commits, rolls back, and loses at its close what it did since."""
    with shop.engine().connect() as connection:
        connection.execute(insert(Item).values(name="committed"))
        connection.commit()
        connection.execute(insert(Item).values(name="rolled back"))
        connection.rollback()
        connection.execute(insert(Item).values(name="forgotten"))

    assert names(db_session) == ["committed"]


def test_a_second_engine_is_in_the_same_transaction(shop, pg, db_session):
    """Engines made while the test runs, by either URL, see the same rows and write to the same."""
    with shop.engine().begin() as connection:
        connection.execute(insert(Item).values(name="first engine"))
    with create_engine(pg.url).begin() as connection:
        assert connection.scalar(COUNT) == 1
        connection.execute(insert(Item).values(name="second engine"))
    with create_engine(main_url()).begin() as connection:
        assert connection.scalar(COUNT) == 2
        connection.execute(insert(Item).values(name="third engine"))

    assert len(names(db_session)) == 3
    assert pg.outside("select count(*) from items") == 0


def test_dispose_keeps_what_was_committed(shop, db_session):
    """An engine goes on after its pool was thrown away, even while a connection is out."""
    with shop.engine().connect() as connection:
        connection.execute(insert(Item).values(name="before"))
        shop.engine().dispose()
        connection.commit()
    with shop.engine().begin() as connection:
        connection.execute(insert(Item).values(name="after"))

    assert names(db_session) == ["after", "before"]


def test_autocommit_lets_each_statement_stand(shop, pg, db_session):
    """Each statement stands by itself; a failing one undoes neither others nor the test."""
    db_session.add(Item(name="the test's"))
    db_session.flush()
    engine = shop.engine().execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(insert(Item).values(name="first"))
        with pytest.raises(IntegrityError):
            connection.execute(insert(Item).values(name="first"))
        connection.execute(insert(Item).values(name="second"))
        connection.rollback()

    assert names(db_session) == ["first", "second", "the test's"]
    assert pg.outside("select count(*) from items") == 0


def test_autocommit_of_an_engine_and_of_one_connection(pg, db_session):
    """The level may be the engine's own, or set on a connection that goes back to its pool."""
    with create_engine(pg.url, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(insert(Item).values(name="engine"))
    engine = create_engine(pg.url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(insert(Item).values(name="connection"))
    with engine.connect() as connection:
        connection.execute(insert(Item).values(name="the pool's next"))

    assert names(db_session) == ["connection", "engine"]


def test_autocommit_beside_an_open_transaction(shop, db_session):
    """An AUTOCOMMIT statement stands although a transaction around it is rolled back before it."""
    autocommit = shop.engine().execution_options(isolation_level="AUTOCOMMIT")
    with shop.open_session() as session, autocommit.connect() as connection:
        assert names(session) == []
        connection.execute(insert(Item).values(name="stands"))
        session.rollback()

    assert names(db_session) == ["stands"]


# -- raw connections -------------------------------------------------------------------------------


def test_raw_connection_commits(shop, db_session, pg):
    """A driver's commit stands for the rest of the test."""
    raw = shop.engine().raw_connection()
    with closing(raw), closing(raw.cursor()) as cursor:
        cursor.execute(INSERT)
        raw.commit()

    assert names(db_session) == ["raw"]
    assert pg.outside("select count(*) from items") == 0


def test_raw_connection_rolls_back(shop, db_session):
    """A driver's rollback undoes its own transaction."""
    raw = shop.engine().raw_connection()
    with closing(raw), closing(raw.cursor()) as cursor:
        cursor.execute(INSERT)
        raw.commit()
        cursor.execute("delete from items")
        raw.rollback()

    assert names(db_session) == ["raw"]


def test_raw_connection_closed_without_either(shop, db_session):
    """Closing a driver's connection undoes what it did not commit."""
    raw = shop.engine().raw_connection()
    with closing(raw), closing(raw.cursor()) as cursor:
        cursor.execute(INSERT)

    assert names(db_session) == []


def test_detached_and_invalidated_connections_are_undone(shop, db_session):
    """Connections that leave their pool lose what they did not commit."""
    with shop.engine().connect() as connection:
        connection.execute(insert(Item).values(name="detached"))
        connection.detach()
    with shop.engine().connect() as connection:
        connection.execute(insert(Item).values(name="invalidated"))
        connection.invalidate()

    assert names(db_session) == []


def test_a_failed_transaction_takes_nothing_but_a_rollback(shop, db_session):
    """The server's own errors meet what follows, and the driver's commit is a rollback."""
    driver = shop.engine().dialect.dbapi
    raw = shop.engine().raw_connection()
    with closing(raw), closing(raw.cursor()) as cursor:
        cursor.execute(INSERT)
        with pytest.raises(driver.ProgrammingError, match="nowhere"):
            cursor.execute("select * from nowhere")
        with pytest.raises(driver.InternalError, match="current transaction is aborted"):
            cursor.execute("select 1")
        raw.commit()
        cursor.execute("select 1")

    assert names(db_session) == []


# -- savepoints ------------------------------------------------------------------------------------


def test_nested_transactions_stand_and_fall_by_level(shop, db_session):
    """Each level is undone by itself, and a level's rollback takes the levels inside with it."""
    with shop.open_session() as session:
        session.add(Item(name="0"))
        with session.begin_nested():
            session.add(Item(name="1"))
            second = session.begin_nested()
            session.add(Item(name="2"))
            with session.begin_nested():
                session.add(Item(name="3"))
                with session.begin_nested():
                    session.add(Item(name="4"))
            session.add(Item(name="0"))
            with pytest.raises(IntegrityError):
                session.flush()
            second.rollback()
            with session.begin_nested():
                session.add(Item(name="5"))
        session.commit()

    assert names(db_session) == ["0", "1", "5"]


def test_a_rollback_takes_released_savepoints_with_it(shop, db_session):
    """What a savepoint kept is still its transaction's."""
    with shop.open_session() as session:
        with session.begin_nested():
            session.add(Item(name="kept by the savepoint"))
        session.rollback()

    assert names(db_session) == []


def test_savepoints_of_two_connections_have_the_same_names(shop, pg, db_session):
    """Names of savepoints belong to their connection, so both may use the same."""
    with shop.engine().connect() as one, create_engine(pg.url).connect() as other:
        one.execute(text("savepoint here"))
        one.execute(insert(Item).values(name="one"))
        one.commit()
        other.execute(text("savepoint here"))
        other.execute(insert(Item).values(name="other"))
        other.execute(text("rollback to savepoint here"))
        with pytest.raises(DBAPIError, match="there"):
            other.execute(text("release savepoint there"))
        other.rollback()

    assert names(db_session) == ["one"]
