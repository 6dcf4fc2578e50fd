"""SQLAlchemy's engines and sessions on the synchronous drivers."""

from behaviour import on
from models import Item, Parent, Part
from sqlalchemy import event, func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool, StaticPool
from stage import SYNC

_NAMES = select(Item.name).order_by(Item.name)


def _names(stage, engine):
    with engine.connect() as connection:
        stage.say("names", connection.scalars(_NAMES).all())


@on(*SYNC)
def autocommit_of_an_engine(stage, driver):
    """Each statement stands; a failing one poisons nothing."""
    engine = stage.engine(driver, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(insert(Item).values(name="a"))
        with stage.noting("duplicate"):
            connection.execute(insert(Item).values(name="a"))
        connection.execute(insert(Item).values(name="b"))
        connection.rollback()
    _names(stage, engine)


@on(*SYNC)
def autocommit_of_a_connection(stage, driver):
    """By execution_options, and the pool gives the connection back as it was."""
    engine = stage.engine(driver, pool_size=1, max_overflow=0)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        stage.say("level", connection.get_isolation_level())
        connection.execute(insert(Item).values(name="a"))
    with engine.connect() as connection:
        stage.say("level", connection.get_isolation_level(), connection.default_isolation_level)
        connection.execute(insert(Item).values(name="undone"))
    _names(stage, engine)
    auto = engine.execution_options(isolation_level="AUTOCOMMIT")
    with stage.noting("block"), auto.begin() as connection:
        connection.execute(insert(Item).values(name="by begin"))
        raise ValueError("of the application")
    _names(stage, engine)


@on(*SYNC)
def begin_nested(stage, driver):
    """Any depth, with errors."""
    engine = stage.engine(driver)
    with engine.begin() as connection:
        connection.execute(insert(Item).values(name="a"))
        with stage.noting("duplicate"), connection.begin_nested():
            connection.execute(insert(Item).values(name="b"))
            connection.execute(insert(Item).values(name="a"))
        with connection.begin_nested() as outer:
            connection.execute(insert(Item).values(name="c"))
            with connection.begin_nested():
                connection.execute(insert(Item).values(name="d"))
            outer.rollback()
        connection.execute(insert(Item).values(name="e"))
    _names(stage, engine)


@on(*SYNC)
def streamed(stage, driver):
    """stream_results and yield_per on two connections in turns."""
    engine = stage.engine(driver)
    with engine.connect() as one, engine.connect() as two:
        series = text("SELECT generate_series(CAST(:a AS int), :a + 5)")
        first = one.execute(series, {"a": 1}, execution_options={"stream_results": True})
        second = two.execute(series, {"a": 11}, execution_options={"yield_per": 2})
        for _ in range(3):
            stage.say("first", first.fetchmany(2))
            stage.say("second", second.fetchmany(1))
        two.execute(insert(Item).values(name="while streaming"))
        second.close()
        two.commit()
        first.close()
    _names(stage, engine)


@on(*SYNC)
def pool_pre_ping(stage, driver):
    """A ping before each checkout, also after the connection was ended."""
    engine = stage.engine(driver, pool_pre_ping=True, pool_size=1, max_overflow=0)
    for name in "ab":
        with engine.begin() as connection:
            connection.execute(insert(Item).values(name=name))
    with engine.connect() as connection:
        connection.connection.driver_connection.close()
    _names(stage, engine)


@on(*SYNC)
def reset_on_return(stage, driver):
    """rollback, commit and nothing."""
    for way in ("rollback", "commit", None):
        engine = stage.engine(driver, pool_reset_on_return=way, pool_size=1)
        raw = engine.raw_connection()
        raw.cursor().execute("INSERT INTO items (name) VALUES (%s)", (f"reset by {way}",))
        raw.close()
        with engine.connect() as connection:
            stage.say(str(way), connection.scalars(_NAMES).all())
        engine.dispose()


@on(*SYNC)
def listeners_of_the_application(stage, driver):
    """do_connect, connect, first_connect, checkout, checkin, begin, commit: each is called."""
    engine = stage.engine(driver, pool_size=1)
    calls = []

    @event.listens_for(engine, "do_connect")
    def do_connect(dialect, record, arguments, parameters):
        calls.append("do_connect")
        parameters["application_name"] = "of the application"

    @event.listens_for(engine, "connect")
    def connect(connection, record):
        calls.append("connect")
        with connection.cursor() as cursor:
            cursor.execute("SET my.word = 'set on connect'")
        connection.commit()

    for name in ("first_connect", "checkout", "checkin", "reset", "close"):
        event.listen(engine, name, lambda *_, name=name: calls.append(name))
    for name in ("begin", "commit", "rollback"):
        event.listen(engine, name, lambda *_, name=name: calls.append(name))
    for _ in range(2):
        with engine.begin() as connection:
            stage.say("word", connection.scalar(text("SELECT current_setting('my.word', true)")))
            stage.say("name", connection.scalar(text("SHOW application_name")))
    engine.dispose()
    stage.say("calls", calls)


@on(*SYNC)
def a_do_connect_listener_that_connects(stage, driver):
    """The application returns a connection of its own making."""
    engine = stage.engine(driver)
    made = []

    @event.listens_for(engine, "do_connect")
    def do_connect(dialect, record, arguments, parameters):
        made.append(dialect.connect(*arguments, **parameters))
        return made[-1]

    with engine.begin() as connection:
        stage.say("is it", [connection.connection.driver_connection is each for each in made])
        connection.execute(insert(Item).values(name="a"))
    _names(stage, engine)


@on(*SYNC)
def insertmanyvalues(stage, driver):
    """Many rows with RETURNING in their order."""
    engine = stage.engine(driver, insertmanyvalues_page_size=50)
    with Session(engine) as session:
        items = [Item(name=f"{number:04}") for number in range(220)]
        session.add_all(items)
        session.commit()
        stage.say("ordered", [item.id for item in items] == sorted(item.id for item in items))
        names = [{"name": f"core {number}"} for number in range(120)]
        found = session.scalars(
            insert(Item).returning(Item.name, sort_by_parameter_order=True), names
        )
        stage.say("returned", found.all() == [each["name"] for each in names])
        session.rollback()
        stage.say("count", session.scalar(select(func.count(Item.id))))


@on(*SYNC)
def sessions_on_two_engines(stage, driver):
    """Each sees what the other committed."""
    one, two = Session(stage.engine(driver)), Session(stage.engine(driver, poolclass=NullPool))
    with one, two:
        item = Item(name="a")
        one.add(item)
        one.commit()
        mine = two.scalars(select(Item)).one()
        mine.amount = 5
        two.commit()
        stage.say("amount", item.amount)
        one.rollback()
        one.refresh(item)
        stage.say("amount", item.amount)
        two.delete(mine)
        two.flush()
        two.rollback()
        stage.say("names", one.scalars(_NAMES).all())


@on(("psycopg2", "psycopg"), ("psycopg", "psycopg2"))
def sessions_on_two_drivers(stage, first, second):
    """A service with an engine of its own, by another driver."""
    with Session(stage.engine(first)) as one, Session(stage.engine(second)) as two:
        one.add(Item(name="one"))
        one.commit()
        two.add_all([Item(name="two"), Item(name="three")])
        two.commit()
        stage.say("names", one.scalars(_NAMES).all(), two.scalars(_NAMES).all())
        two.add(Item(name="one"))
        with stage.noting("flush"):
            two.flush()
        two.rollback()
        stage.say("names", two.scalars(_NAMES).all())


@on(*SYNC)
def a_session_after_an_error(stage, driver):
    """PendingRollbackError, then work goes on."""
    with Session(stage.engine(driver)) as session:
        session.add(Item(name="a"))
        session.commit()
        session.add(Item(name="a"))
        with stage.noting("commit"):
            session.commit()
        with stage.noting("use"):
            session.scalars(_NAMES).all()
        session.rollback()
        stage.say("names", session.scalars(_NAMES).all())
        with stage.noting("nested"), session.begin_nested():
            session.add(Item(name="a"))
            session.flush()
        session.add(Item(name="b"))
        session.commit()
        stage.say("names", session.scalars(_NAMES).all())


@on(*SYNC)
def deferred_constraints_of_a_session(stage, driver):
    """Raised by the commit of the session."""
    with Session(stage.engine(driver)) as session:
        session.add(Part(number=1, parent=1))
        session.flush()
        with stage.noting("commit"):
            session.commit()
        session.rollback()
        session.add_all([Part(number=1, parent=1), Parent(number=1)])
        session.commit()
        stage.say("count", session.scalar(select(func.count(Part.number))))


@on(*SYNC)
def isolation_levels(stage, driver):
    """What is asked for, what is there."""
    engine = stage.engine(driver)
    with engine.connect().execution_options(isolation_level="READ COMMITTED") as connection:
        stage.say("level", connection.scalar(text("SHOW transaction_isolation")))
    with (
        stage.noting("level"),
        engine.connect().execution_options(isolation_level="SERIALIZABLE") as connection,
    ):
        stage.say("level", connection.scalar(text("SHOW transaction_isolation")))
    with stage.noting("level"), engine.connect() as connection:
        stage.say("level", connection.scalar(text("SHOW transaction_isolation")))


@on(*SYNC)
def read_only_connections(stage, driver):
    """postgresql_readonly for one connection."""
    engine = stage.engine(driver, pool_size=1)
    read_only = engine.execution_options(postgresql_readonly=True)
    with read_only.connect() as connection, stage.noting("write"):
        connection.execute(insert(Item).values(name="a"))
    with engine.begin() as connection:
        connection.execute(insert(Item).values(name="b"))
    _names(stage, engine)


@on(*SYNC)
def two_phase(stage, driver):
    """Prepared transactions, which the server may not allow."""
    engine = stage.engine(driver)
    with stage.noting("two-phase"), engine.connect() as connection:
        transaction = connection.begin_twophase()
        connection.execute(insert(Item).values(name="a"))
        transaction.prepare()
        transaction.commit()
    _names(stage, engine)


@on(*SYNC)
def an_invalidated_connection(stage, driver):
    """invalidate() in a transaction undoes it; the next one is new."""
    engine = stage.engine(driver, pool_size=1)
    with engine.connect() as connection:
        connection.execute(insert(Item).values(name="undone"))
        connection.invalidate()
        with stage.noting("use"):
            connection.execute(text("SELECT 1"))
        connection.rollback()
        stage.say("again", connection.scalar(text("SELECT 1")))
    _names(stage, engine)


@on(*SYNC)
def a_static_pool(stage, driver):
    """One connection for all, detached and not."""
    engine = stage.engine(driver, poolclass=StaticPool)
    with engine.begin() as one:
        one.execute(insert(Item).values(name="a"))
    with engine.connect() as two:
        two.detach()
        stage.say("names", two.scalars(_NAMES).all())


@on(*SYNC)
def raw_connections(stage, driver):
    """The driver's own connection, its notices, its status."""
    engine = stage.engine(driver)
    raw = engine.raw_connection()
    connection = raw.driver_connection
    stage.say("kind", type(connection).__module__, type(connection).__name__)
    stage.run(connection, "DO $$ BEGIN RAISE NOTICE 'noted'; END $$")
    stage.run(connection, "INSERT INTO items (name) VALUES ('a')")
    raw.commit()
    stage.note(connection)
    raw.close()
    _names(stage, engine)


@on(*SYNC)
def ddl_by_metadata(stage, driver):
    """create_all and drop_all in a transaction, and reflection."""
    from sqlalchemy import Column, Integer, MetaData, Table, inspect

    engine = stage.engine(driver)
    made = MetaData()
    Table("made", made, Column("a", Integer, primary_key=True))
    with engine.connect() as connection:
        made.create_all(connection)
        stage.say("tables", sorted(inspect(connection).get_table_names()))
        connection.rollback()
        stage.say("tables", sorted(inspect(connection).get_table_names()))
    made.create_all(engine)
    stage.say("tables", sorted(inspect(engine).get_table_names()))
    made.drop_all(engine)
    stage.say("tables", sorted(inspect(engine).get_table_names()))


@on(*SYNC)
def an_engine_that_is_disposed(stage, driver):
    """dispose() while a connection is out."""
    engine = stage.engine(driver)
    with engine.connect() as connection:
        connection.execute(insert(Item).values(name="a"))
        engine.dispose()
        connection.commit()
    _names(stage, engine)


@on(*SYNC)
def executemany_by_core(stage, driver):
    """rowcounts and errors of many rows."""
    engine = stage.engine(driver)
    with engine.begin() as connection:
        connection.execute(insert(Item), [{"name": name} for name in "abc"])
        found = connection.execute(
            text("UPDATE items SET amount = :a WHERE name = :n"),
            [{"a": 1, "n": "a"}, {"a": 2, "n": "b"}, {"a": 3, "n": "z"}],
        )
        stage.say("count", found.rowcount)
    with stage.noting("duplicate"), engine.begin() as connection:
        connection.execute(insert(Item), [{"name": "d"}, {"name": "a"}])
    _names(stage, engine)


@on(*SYNC)
def errors_through_sqlalchemy(stage, driver):
    """Class, SQLSTATE and invalidation."""
    engine = stage.engine(driver)
    with engine.connect() as connection:
        for sql in ("SELECT 1/0", "SELECT * FROM nowhere", "SELECT 'x'::int", "SELEC 1"):
            try:
                connection.execute(text(sql))
            except DBAPIError as error:
                stage.say(sql, stage.described(error), error.connection_invalidated)
            connection.rollback()
