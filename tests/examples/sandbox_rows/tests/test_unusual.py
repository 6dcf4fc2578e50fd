"""What one transaction can't give is a clear error; what looks as if it could not, works."""

import pytest
from shop.models import Item
from shop.settings import DRIVER
from sqlalchemy import create_engine, event, func, insert, select, text
from sqlalchemy.exc import DBAPIError, InternalError
from sqlalchemy.orm import Session

from pgsandbox.errors import NotInSandbox

COUNT = select(func.count(Item.id))


@pytest.fixture
def autocommit(pg):
    """A connection in autocommit mode."""
    with create_engine(pg.url, isolation_level="AUTOCOMMIT").connect() as connection:
        yield connection


@pytest.fixture
def connection(pg):
    """A connection."""
    with create_engine(pg.url).connect() as connection:
        yield connection


@pytest.mark.parametrize(
    "statement",
    [
        "vacuum items",
        "create index concurrently made_by_test on items (name)",
        "drop index concurrently made_by_test",
        "reindex table concurrently items",
        "create database made_by_test",
        "alter system set work_mem = '8MB'",
        "do $$ begin insert into items (name) values ('lamp'); commit; end $$",
        "set session characteristics as transaction isolation level serializable",
        "/* a comment */ vacuum -- and another",
    ],
)
def test_what_needs_no_transaction_names_the_clone(autocommit, db_session, statement):
    """The statement is refused, the message names it and the way out, and the test goes on."""
    with pytest.raises(DBAPIError) as refused:
        autocommit.execute(text(statement))

    assert isinstance(refused.value.orig.__cause__, NotInSandbox)
    assert statement in str(refused.value)
    assert '@pytest.mark.pgsandbox(isolation="clone")' in str(refused.value)
    autocommit.execute(insert(Item).values(name="after"))
    assert db_session.scalar(COUNT) == 1


@pytest.mark.parametrize("level", ["SERIALIZABLE", "REPEATABLE READ"])
def test_a_snapshot_of_ones_own_names_the_clone(pg, level):
    """One connection in use can't be given a level that the shared transaction does not have."""
    connection = create_engine(pg.url).connect().execution_options(isolation_level=level)
    with connection, pytest.raises(DBAPIError, match=f"(?s)NotInSandbox.*{level}"):
        connection.execute(COUNT)


@pytest.mark.parametrize("level", ["SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED"])
def test_an_engine_at_any_isolation_level_is_let_through(pg, level):
    """The owner of an engine can't change it test by test; its transactions are READ COMMITTED."""
    engine = create_engine(pg.url, isolation_level=level)
    with engine.begin() as connection:
        connection.execute(insert(Item).values(name="lamp"))

    with engine.connect() as connection:
        assert connection.scalar(COUNT) == 1
        assert connection.get_isolation_level() == "READ COMMITTED"


def test_two_phase_commit_names_the_clone(pg):
    """A prepared transaction outlives its connection, so no transaction can hold it."""
    with create_engine(pg.url).connect() as connection:
        transaction = connection.begin_twophase()
        connection.execute(insert(Item).values(name="lamp"))
        with pytest.raises(DBAPIError, match=r"NotInSandbox: .*two-phase"):
            transaction.prepare()
        connection.invalidate()


def test_two_drivers_share_the_transaction(pg, connection):
    """What one commits the other reads, and nobody outside."""
    other = {"psycopg": "psycopg2", "psycopg2": "psycopg"}[DRIVER]
    engine = create_engine(pg.url.replace(f"+{DRIVER}:", f"+{other}:"))
    with engine.begin() as others:
        others.execute(insert(Item).values(name="lamp"))

    assert connection.scalar(COUNT) == 1
    assert pg.outside("select count(*) from items") == 0


def test_notify_is_let_through(connection, db_session):
    """Nobody is told, but a trigger that notifies is no error."""
    connection.execute(text("notify news, 'lamp'"))
    connection.execute(text("select pg_notify('news', 'lamp')"))
    connection.execute(insert(Item).values(name="lamp"))
    connection.commit()

    assert db_session.scalar(COUNT) == 1


def test_read_only_connections_refuse_writes(pg, db_session):
    """The server itself refuses, also what a function writes; other connections go on writing."""
    engine = create_engine(pg.url)
    reader = engine.execution_options(postgresql_readonly=True)
    with reader.connect() as connection, engine.connect() as writer:
        assert connection.scalar(COUNT) == 0
        writer.execute(insert(Item).values(name="lamp"))
        writer.commit()
        assert connection.scalar(COUNT) == 1
        with pytest.raises(InternalError, match="read-only transaction"):
            connection.execute(insert(Item).values(name="chair"))
        connection.rollback()
        assert connection.scalar(COUNT) == 1
    with engine.begin() as connection:
        connection.execute(insert(Item).values(name="table"))

    assert db_session.scalar(COUNT) == 2


def test_read_only_by_sql(connection):
    """SET TRANSACTION makes one transaction read-only; SESSION CHARACTERISTICS all that follow."""
    connection.execute(text("set transaction read only"))
    with pytest.raises(InternalError, match="read-only transaction"):
        connection.execute(insert(Item).values(name="chair"))
    connection.rollback()
    connection.execute(text("set session characteristics as transaction read only"))
    connection.commit()
    with pytest.raises(InternalError, match="read-only transaction"):
        connection.execute(insert(Item).values(name="table"))
    connection.rollback()
    connection.execute(text("set session characteristics as transaction read write"))
    connection.commit()
    connection.execute(insert(Item).values(name="lamp"))
    connection.commit()

    assert connection.scalar(COUNT) == 1


def test_transactions_by_sql_in_autocommit(autocommit, db_session):
    """BEGIN, COMMIT and ROLLBACK of an application that manages its transactions itself."""
    for end in ("rollback", "COMMIT", "end transaction", "abort work", "-- really\ncommit;"):
        autocommit.execute(text("begin read write"))
        autocommit.execute(insert(Item).values(name=end))
        autocommit.execute(text("savepoint a"))
        autocommit.execute(insert(Item).values(name=f"{end} later"))
        autocommit.execute(text("rollback to a"))
        autocommit.execute(text(end))

    names = sorted(db_session.scalars(select(Item.name)))
    assert names == ["-- really\ncommit;", "COMMIT", "end transaction"]


def test_several_statements_in_one_string(connection, db_session):
    """They stand and fall together, as a string that is sent at once does."""
    raw = connection.connection.driver_connection
    with raw.cursor() as cursor:
        cursor.execute(
            "insert into items (name) values ('a'); insert into items (name) values ('b')"
        )
        raw.commit()
        with pytest.raises(connection.dialect.loaded_dbapi.Error):
            cursor.execute(
                "insert into items (name) values ('c'); insert into items (name) values ('a')"
            )
        raw.rollback()

    assert sorted(db_session.scalars(select(Item.name))) == ["a", "b"]


def test_procedures_and_blocks(autocommit, db_session):
    """A block that handles its own errors uses savepoints of its own."""
    autocommit.execute(
        text(
            "do $$ begin insert into items (name) values ('a');"
            " begin insert into items (name) values ('a');"
            " exception when unique_violation then null; end; end $$"
        )
    )
    autocommit.execute(
        text(
            "create procedure made_by_test() language sql as"
            " $$ insert into items (name) values ('b') $$"
        )
    )
    autocommit.execute(text("call made_by_test()"))

    assert sorted(db_session.scalars(select(Item.name))) == ["a", "b"]


def test_functions_that_write_are_undone(pg, db_session):
    """A SELECT may write; a rollback undoes it even with other transactions around it."""
    engine = create_engine(pg.url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "create function made_by_test(name text) returns void language sql as"
                " $$ insert into items (name) values ($1) $$"
            )
        )
    with engine.connect() as one, engine.connect() as other:
        assert one.scalar(COUNT) == 0
        other.execute(text("select made_by_test('undone')"))
        assert one.scalar(COUNT) == 1
        other.rollback()
        one.execute(text("select made_by_test('stands')"))
        one.commit()

    assert list(db_session.scalars(select(Item.name))) == ["stands"]


def test_row_locks_beside_an_audit_that_commits_first(pg, db_session):
    """A service locks and reads, an engine of its own writes an audit, the service rolls back."""
    engine = create_engine(pg.url)
    db_session.add(Item(name="lamp"))
    db_session.commit()
    with engine.connect() as service, engine.connect() as audit:
        service.execute(select(Item).with_for_update())
        assert service.scalar(COUNT) == 1
        audit.execute(insert(Item).values(name="audit"))
        audit.commit()
        service.rollback()

    assert sorted(db_session.scalars(select(Item.name))) == ["audit", "lamp"]


def test_hooks_that_commit_on_connections_of_their_own(pg, db_session):
    """A session's events write an audit by another engine before and after its commit."""
    engine = create_engine(pg.url)

    def audit(when):
        with engine.begin() as connection:
            connection.execute(insert(Item).values(name=when))

    with Session(engine) as session:
        event.listen(session, "before_commit", lambda session: audit("before"))
        event.listen(session, "after_commit", lambda session: audit("after"))
        session.add(Item(name="it"))
        session.flush()
        session.commit()

    assert sorted(db_session.scalars(select(Item.name))) == ["after", "before", "it"]


def test_a_recipe_of_the_projects_own(pg, db_session):
    """A suite that already isolates itself by an outer transaction may go on doing so."""
    with create_engine(pg.url).connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            session.add(Item(name="committed"))
            session.commit()
            session.add(Item(name="rolled back"))
            session.rollback()
            assert list(session.scalars(select(Item.name))) == ["committed"]
        outer.rollback()

    assert db_session.scalar(COUNT) == 0


@pytest.fixture
def session_by_hand(pg):
    """A suite's own session, in a transaction that its fixture rolls back."""
    with create_engine(pg.url).connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            yield session
        outer.rollback()


@pytest.mark.parametrize("turn", [1, 2])
def test_a_recipe_beside_the_application(session_by_hand, pg, db_session, turn):
    """The recipe's rollback comes when the test is over, whatever was committed beside it."""
    session_by_hand.add(Item(name="recipe"))
    session_by_hand.flush()
    with create_engine(pg.url).begin() as application:
        application.execute(insert(Item).values(name="application"))

    assert sorted(db_session.scalars(select(Item.name))) == ["application", "recipe"]


@pytest.mark.parametrize("turn", [1, 2])
def test_what_belongs_to_a_session_of_the_server_does_not_stay(connection, turn):
    """Prepared statements and the last value of a sequence survive a rollback, but not a test."""
    with pytest.raises(DBAPIError, match="lastval"):
        connection.execute(text("select lastval()"))
    connection.rollback()
    connection.execute(text("prepare made_by_test as select nextval('items_id_seq')"))
    connection.execute(text("execute made_by_test"))
    connection.execute(text("create temporary table made_by_test_for_now (id integer)"))
    connection.commit()


def test_errors_outside_of_a_transaction(autocommit, db_session):
    """Any number of failing statements leave the connection and the test as they were."""
    for _ in range(3):
        with pytest.raises(DBAPIError):
            autocommit.execute(text("select 1 / 0"))
        with pytest.raises(DBAPIError):
            autocommit.execute(text("nonsense"))
        autocommit.execute(text("insert into items (name) values (clock_timestamp()::text)"))

    assert db_session.scalar(COUNT) == 3


def test_a_time_limit_of_the_application(pg, db_session):
    """statement_timeout stops the statement and nothing else."""
    with create_engine(pg.url).connect() as connection:
        connection.execute(insert(Item).values(name="lamp"))
        connection.commit()
        connection.execute(text("set local statement_timeout = '10ms'"))
        with pytest.raises(DBAPIError, match="statement timeout"):
            connection.execute(text("select pg_sleep(5)"))
        connection.rollback()
        connection.execute(text("select pg_sleep(0.02)"))

    assert db_session.scalar(COUNT) == 1
