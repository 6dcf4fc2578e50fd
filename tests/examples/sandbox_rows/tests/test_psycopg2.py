"""psycopg2's own features, used on connections of the sandbox."""

import io
import uuid

import psycopg2
import pytest
from psycopg2 import extras, sql

# As applications do: bound to the name before any test runs.
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT, new_type, quote_ident, register_type
from shop.models import Item
from shop.settings import DRIVER
from sqlalchemy import create_engine, func, insert, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError

pytestmark = pytest.mark.skipif(DRIVER != "psycopg2", reason="for psycopg2")

COUNT = select(func.count(Item.id))


class Counting(psycopg2.extensions.connection):
    """A connection that counts its cursors."""

    cursors = 0

    def cursor(self, *args, **kwargs):
        """Count it."""
        self.cursors += 1
        return super().cursor(*args, **kwargs)


@pytest.fixture
def raw(pg):
    """What psycopg2.connect() would return."""
    connection = create_engine(pg.url).raw_connection()
    yield connection.driver_connection
    connection.close()


def test_it_is_a_connection(raw):
    """isinstance and the attributes of a connection say what they would in production."""
    assert isinstance(raw, psycopg2.extensions.connection)
    assert raw.closed == 0
    assert raw.status == psycopg2.extensions.STATUS_READY
    assert raw.info.server_version >= 140000
    assert quote_ident("a b", raw) == '"a b"'


def test_its_transaction_is_its_own(raw):
    """Its status is not the test's."""
    status = [raw.info.transaction_status]
    raw.cursor().execute("select 1")
    status.append(raw.info.transaction_status)
    with pytest.raises(psycopg2.errors.DivisionByZero):
        raw.cursor().execute("select 1 / 0")
    status += [raw.info.transaction_status, raw.status]
    raw.rollback()

    assert status == [
        psycopg2.extensions.TRANSACTION_STATUS_IDLE,
        psycopg2.extensions.TRANSACTION_STATUS_INTRANS,
        psycopg2.extensions.TRANSACTION_STATUS_INERROR,
        psycopg2.extensions.STATUS_BEGIN,
    ]
    assert raw.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_IDLE


@pytest.mark.parametrize("encoding", ["UTF8", "utf-8", "unicode"])
def test_client_encoding(pg, encoding):
    """An engine may ask for UTF-8 by each of its names."""
    with create_engine(pg.url, client_encoding=encoding).connect() as connection:
        assert connection.scalar(text("select 'ä'")) == "ä"


def test_another_client_encoding(raw, db_session):
    """Each connection has its own, and the others keep theirs."""
    raw.set_client_encoding("latin1")
    raw.cursor().execute("insert into items (name) values (%s)", ["ä"])
    raw.commit()

    assert db_session.scalar(select(Item.name)) == "ä"


def test_the_connection_as_a_context(raw, db_session):
    """``with connection`` commits, or rolls back what raised, and leaves it open."""
    with raw, raw.cursor() as cursor:
        cursor.execute("insert into items (name) values ('stands')")
    with pytest.raises(psycopg2.errors.UniqueViolation), raw, raw.cursor() as cursor:
        cursor.execute("insert into items (name) values ('falls'), ('stands')")

    assert raw.closed == 0
    assert list(db_session.scalars(select(Item.name))) == ["stands"]


def test_sessions_and_isolation_levels(raw, db_session):
    """set_session, set_isolation_level and autocommit switch as they do in production."""
    cursor = raw.cursor()
    raw.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
    cursor.execute("insert into items (name) values ('stands')")
    raw.rollback()
    raw.set_session(autocommit=False, readonly=True)
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        cursor.execute("insert into items (name) values ('falls')")
    with pytest.raises(psycopg2.ProgrammingError, match="inside a transaction"):
        raw.autocommit = True
    raw.rollback()
    raw.set_session(readonly=False)
    cursor.execute("insert into items (name) values ('falls')")
    raw.reset()

    assert list(db_session.scalars(select(Item.name))) == ["stands"]


def test_server_side_cursors(pg, db_session):
    """Rows come in batches, also while other connections write and roll back."""
    engine = create_engine(pg.url)
    with engine.begin() as connection:
        connection.execute(
            text("insert into items (name) select g::text from generate_series(1, 100) g")
        )
    with engine.connect() as reader, engine.connect() as writer:
        result = reader.execution_options(stream_results=True, max_row_buffer=5).execute(
            select(Item.name)
        )
        names = [row.name for row in result.fetchmany(10)]
        writer.execute(insert(Item).values(name="undone"))
        names += [row.name for row in result.fetchmany(10)]
        writer.rollback()
        names += [row.name for row in result]

    assert len(set(names)) == 100
    assert db_session.scalar(COUNT) == 100


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_named_cursor_ends_with_its_transaction(raw, end):
    """Neither a fetch nor a close reaches the server afterwards, except WITH HOLD."""
    cursor = raw.cursor("numbers")
    cursor.execute("select generate_series(1, 30)")
    getattr(raw, end)()
    with pytest.raises(psycopg2.ProgrammingError, match="isn't valid anymore"):
        cursor.fetchone()
    with pytest.raises(psycopg2.ProgrammingError, match="isn't valid anymore"):
        cursor.close()
    held = raw.cursor("held", withhold=True)
    held.execute("select generate_series(1, 30)")
    raw.commit()
    assert held.fetchmany(2) == [(1,), (2,)]
    held.close()
    raw.cursor("never").close()


def test_a_named_cursor_in_a_failed_transaction(raw):
    """It closes without a word, as psycopg2's own does."""
    cursor = raw.cursor("numbers")
    cursor.execute("select generate_series(1, 30)")
    with pytest.raises(psycopg2.errors.DivisionByZero):
        raw.cursor().execute("select 1 / 0")
    cursor.close()
    raw.rollback()
    raw.cursor().execute("select 1")


def test_a_cursor_that_anothers_rollback_closed(pg, db_session):
    """The limit is named, and a third connection in its transaction does not notice."""
    engine = create_engine(pg.url)
    writer, reader, third = (engine.raw_connection() for _ in range(3))
    writer.cursor().execute("insert into items (name) values ('undone')")
    cursor = reader.driver_connection.cursor("numbers")
    cursor.execute("select generate_series(1, 30)")
    writer.rollback()
    third.cursor().execute("insert into items (name) values ('stands')")
    with pytest.raises(psycopg2.NotSupportedError, match="NotInSandbox") as refused:
        cursor.fetchone()
    third.commit()

    assert 'isolation="clone"' in refused.value.diag.message_hint
    assert list(db_session.scalars(select(Item.name))) == ["stands"]


def test_named_cursors(raw):
    """A named cursor belongs to its transaction and scrolls."""
    with raw.cursor("numbers", scrollable=True) as cursor:
        cursor.itersize = 7
        cursor.execute("select generate_series(1, 30)")
        assert cursor.fetchone() == (1,)
        cursor.scroll(10)
        assert cursor.fetchmany(2) == [(12,), (13,)]
        assert [number for (number,) in cursor] == list(range(14, 31))
    raw.rollback()
    raw.autocommit = True
    with pytest.raises(psycopg2.ProgrammingError, match="outside of transactions"):
        raw.cursor("numbers").execute("select 1")


@pytest.mark.parametrize(
    ("factory", "row"),
    [
        (extras.DictCursor, ["lamp"]),
        (extras.RealDictCursor, {"name": "lamp"}),
        (extras.NamedTupleCursor, ("lamp",)),
    ],
)
def test_cursor_classes(raw, factory, row):
    """psycopg2's own kinds of rows, chosen for a cursor or for all of a connection's."""
    with raw.cursor(cursor_factory=factory) as cursor:
        cursor.execute("select 'lamp' as name")
        assert cursor.fetchone() == row
    raw.cursor_factory = factory
    with raw.cursor() as cursor:
        cursor.execute("select 'lamp' as name")
        assert cursor.fetchall() == [row]


def test_connection_classes(pg):
    """Of psycopg2's own, or of the application's."""
    known = create_engine(pg.url, connect_args={"connection_factory": extras.DictConnection})
    own = create_engine(pg.url, connect_args={"connection_factory": Counting})
    with known.raw_connection().driver_connection.cursor() as cursor:
        cursor.execute("select 'lamp' as name")
        assert cursor.fetchone()["name"] == "lamp"
    with own.connect() as connection:
        connection.execute(COUNT)
        assert connection.connection.driver_connection.cursors > 0


def test_copy(raw, db_session):
    """COPY in and out is in the transaction; a failing one undoes its own."""
    cursor = raw.cursor()
    cursor.copy_expert("copy items (name) from stdin", io.StringIO("a\nb\n"))
    cursor.copy_from(io.StringIO("c\n"), "items", columns=("name",))
    raw.commit()
    with pytest.raises(psycopg2.errors.UniqueViolation):
        cursor.copy_from(io.StringIO("d\na\n"), "items", columns=("name",))
    raw.rollback()
    out = io.StringIO()
    cursor.copy_to(out, "items", columns=("name",))

    assert out.getvalue() == "a\nb\nc\n"
    assert db_session.scalar(COUNT) == 3


def test_a_statement_in_the_middle_of_a_copy(raw, pg, db_session):
    """What is copied may be read by another connection."""
    other = create_engine(pg.url).raw_connection()
    other.cursor().execute("insert into items (name) values ('1'), ('2')")
    other.commit()

    class Rows:
        def __init__(self):
            self.cursor = other.cursor()
            self.cursor.execute("select name || ' again' from items order by 1")

        def read(self, size):
            row = self.cursor.fetchone()
            other.cursor().execute("select 1")
            return f"{row[0]}\n" if row else ""

    raw.cursor().copy_expert("copy items (name) from stdin", Rows())
    raw.commit()

    assert db_session.scalar(COUNT) == 4


@pytest.mark.parametrize("execute", [extras.execute_values, extras.execute_batch])
def test_many_rows_at_once(raw, db_session, execute):
    """psycopg2's helpers send pages of rows; executemany sends each."""
    statement = {
        extras.execute_values: "insert into items (name) values %s",
        extras.execute_batch: "insert into items (name) values (%s)",
    }
    cursor = raw.cursor()
    execute(cursor, statement[execute], [(str(n),) for n in range(250)])
    cursor.executemany("insert into items (name) values (%s)", [("a",), ("b",)])
    raw.commit()
    execute(cursor, statement[execute], [("undone",)])
    raw.rollback()

    assert db_session.scalar(COUNT) == 252


@pytest.mark.parametrize("mode", ["values_only", "values_plus_batch"])
def test_many_rows_by_sqlalchemy(pg, db_session, mode):
    """insertmanyvalues and executemany, with a unique violation in the middle."""
    engine = create_engine(pg.url, executemany_mode=mode)
    with engine.begin() as connection:
        rows = [{"name": str(n)} for n in range(2000)]
        ids = connection.scalars(
            insert(Item).returning(Item.id, sort_by_parameter_order=True), rows
        )
        assert len(set(ids)) == 2000
        connection.execute(insert(Item), [{"name": "a"}, {"name": "b"}])
    with engine.connect() as connection:
        with pytest.raises(IntegrityError):
            connection.execute(insert(Item), [{"name": "c"}, {"name": "a"}])
        connection.rollback()

    assert db_session.scalar(COUNT) == 2002


def test_composed_statements(raw, db_session):
    """Statements made of psycopg2.sql are read like any other."""
    cursor = raw.cursor()
    cursor.execute(
        sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier("items"), sql.Identifier("name"), sql.Literal("lamp")
        )
    )
    cursor.execute(sql.SQL("savepoint {}").format(sql.Identifier("a b")))
    cursor.execute(b"delete from items")
    cursor.execute(sql.SQL("rollback to savepoint {}").format(sql.Identifier("a b")))
    raw.commit()

    assert db_session.scalar(COUNT) == 1


def test_types_keep_their_identity(raw, pg):
    """UUIDs, arrays, ranges, enums, composites and JSON arrive as they do in production."""
    cursor = raw.cursor()
    extras.register_uuid(conn_or_curs=raw)
    key = uuid.uuid4()
    cursor.execute("create type made_by_test as (a int, b text)")
    extras.register_composite("made_by_test", raw)
    cursor.execute("create type made_by_test_mood as enum ('sad', 'ok')")
    cursor.execute(
        "select %s::uuid, array[1, 2], numrange(1, 2), '{\"a\": [1]}'::jsonb,"
        " (1, 'x')::made_by_test, 'ok'::made_by_test_mood, now()",
        (key,),
    )
    row = cursor.fetchone()

    assert row[0] == key
    assert row[1:4] == ([1, 2], extras.NumericRange(1, 2), {"a": [1]})
    assert (row[4].a, row[4].b, row[5]) == (1, "x", "ok")
    assert row[6].tzinfo is not None


def test_what_is_registered_for_one_connection_is_not_for_another(raw, pg):
    """Two engines that read JSON differently, and a type that one connection reads in its way."""
    plain = create_engine(pg.url)
    other = create_engine(pg.url, json_deserializer=lambda value: ("other", value))
    document = text("select '{}'::jsonb as document").columns(document=JSONB)
    with plain.connect() as one, other.connect() as two:
        assert one.scalar(document) == {}
        assert two.scalar(document) == ("other", "{}")
        assert one.scalar(document) == {}
    cursor = raw.cursor()
    register_type(new_type((23,), "SHOUT", lambda value, cursor: f"{value}!"), raw)
    with raw.cursor() as shouting, plain.raw_connection().cursor() as plainly:
        shouting.execute("select 1")
        plainly.execute("select 1")
        assert (shouting.fetchone(), plainly.fetchone()) == (("1!",), (1,))
    register_type(new_type((23,), "WHISPER", lambda value, cursor: f"{value}?"), cursor)
    cursor.execute("select 1")
    assert cursor.fetchone() == ("1?",)


def test_large_objects(raw):
    """A large object is written and undone with its transaction."""
    large = raw.lobject(0, "wb")
    large.write(b"lamp")
    large.close()
    raw.commit()
    kept = large.oid
    other = raw.lobject(0, "wb")
    other.close()
    raw.rollback()

    assert raw.lobject(kept, "rb").read() == b"lamp"
    with pytest.raises(psycopg2.OperationalError):
        raw.lobject(other.oid, "rb")
