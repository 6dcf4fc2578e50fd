"""psycopg 3's own features, used on connections of the sandbox."""

import uuid

import pytest
from shop.models import Item
from shop.settings import DRIVER
from sqlalchemy import create_engine, func, insert, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError

psycopg = pytest.importorskip("psycopg")

from psycopg import rows, sql  # noqa: E402
from psycopg.types.composite import CompositeInfo, register_composite  # noqa: E402
from psycopg.types.json import set_json_loads  # noqa: E402
from psycopg.types.range import Range  # noqa: E402

pytestmark = pytest.mark.skipif(DRIVER != "psycopg", reason="for psycopg")

COUNT = select(func.count(Item.id))
ADD = "insert into items (name) values (%s)"


@pytest.fixture
def raw(pg):
    """What psycopg.connect() would return."""
    connection = create_engine(pg.url).raw_connection()
    yield connection.driver_connection
    connection.close()


def test_it_is_a_connection(raw):
    """isinstance and the attributes of a connection say what they would in production."""
    assert isinstance(raw, psycopg.Connection)
    assert (raw.closed, raw.broken, raw.autocommit) == (False, False, False)
    assert raw.info.server_version >= 140000
    assert sql.Identifier("a b").as_string(raw) == '"a b"'


def test_its_transaction_is_its_own(raw, pg):
    """Its status is not the test's, and its notices are not another connection's."""
    other = create_engine(pg.url).raw_connection().driver_connection
    heard = []
    raw.add_notice_handler(lambda notice: heard.append(notice.message_primary))
    other.execute("do $$ begin raise notice 'other'; end $$")
    other.rollback()
    status = [raw.info.transaction_status]
    raw.execute("do $$ begin raise notice 'own'; end $$")
    status.append(raw.info.transaction_status)
    with pytest.raises(psycopg.errors.DivisionByZero):
        raw.execute("select 1 / 0")
    status.append(raw.info.transaction_status)
    raw.rollback()

    assert heard == ["own"]
    assert [each.name for each in status] == ["IDLE", "INTRANS", "INERROR"]
    assert raw.info.transaction_status.name == "IDLE"


def test_the_connection_as_a_context(pg, db_session):
    """``with connection`` commits and closes, or rolls back what raised."""
    engine = create_engine(pg.url)
    one, other = engine.raw_connection(), engine.raw_connection()
    one.detach()
    other.detach()
    with one.dbapi_connection as raw:
        raw.execute(ADD, ["stands"])
    with pytest.raises(psycopg.errors.UniqueViolation), other.dbapi_connection as raw:
        raw.execute("insert into items (name) values ('falls'), ('stands')")

    assert one.dbapi_connection.closed
    assert other.dbapi_connection.closed
    assert list(db_session.scalars(select(Item.name))) == ["stands"]


@pytest.mark.parametrize("autocommit", [False, True])
def test_transaction_blocks(raw, db_session, autocommit):
    """``with connection.transaction()`` stands and falls by level, in autocommit mode too."""
    raw.autocommit = autocommit
    with raw.transaction():
        raw.execute(ADD, ["1"])
        with pytest.raises(psycopg.errors.UniqueViolation), raw.transaction():
            raw.cursor().executemany(ADD, [["2"], ["1"]])
        with raw.transaction("named", force_rollback=True):
            raw.execute(ADD, ["3"])
        with raw.transaction() as block:
            raw.execute(ADD, ["4"])
            raise psycopg.Rollback(block)
        with raw.transaction():
            raw.execute(ADD, ["5"])
    with pytest.raises(psycopg.errors.UniqueViolation), raw.transaction():
        raw.cursor().executemany(ADD, [["6"], ["1"]])
    raw.rollback()

    assert sorted(db_session.scalars(select(Item.name))) == ["1", "5"]


def test_commit_inside_of_a_block_is_refused(raw):
    """psycopg's own rule holds."""
    with raw.transaction(), pytest.raises(psycopg.ProgrammingError, match="forbidden"):
        raw.commit()


def test_isolation_levels_and_modes(raw, db_session):
    """Levels and modes are set outside of a transaction only, and read-only is kept."""
    raw.execute(ADD, ["1"])
    with pytest.raises(psycopg.ProgrammingError, match="INTRANS"):
        raw.autocommit = True
    raw.commit()
    raw.read_only = True
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        raw.execute(ADD, ["2"])
    raw.rollback()
    raw.read_only = None
    raw.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    with pytest.raises(psycopg.NotSupportedError, match="NotInSandbox"):
        raw.execute(ADD, ["2"])
    raw.rollback()
    raw.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    raw.execute(ADD, ["3"])
    raw.commit()

    assert sorted(db_session.scalars(select(Item.name))) == ["1", "3"]


def test_pipelines(raw, db_session):
    """Statements travel together, and fall together where one of them fails."""
    with raw.pipeline():
        raw.execute(ADD, ["1"])
        counted = raw.execute("select count(*) from items")
    raw.commit()
    violations = pytest.raises(psycopg.errors.UniqueViolation)
    with violations, raw.pipeline():  # raised at the end of the pipeline
        raw.execute(ADD, ["2"])
        raw.execute(ADD, ["1"])
    raw.rollback()

    assert counted.fetchone() == (1,)
    assert list(db_session.scalars(select(Item.name))) == ["1"]


def test_two_phase_is_refused(raw):
    """A prepared transaction outlives its connection."""
    raw.tpc_begin("id")
    raw.execute(ADD, ["1"])
    with pytest.raises(psycopg.NotSupportedError, match="two-phase"):
        raw.tpc_prepare()
    raw.close()


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
    """A fetch is refused afterwards, except WITH HOLD, and a close says nothing."""
    with raw.cursor("numbers") as cursor:
        cursor.execute("select generate_series(1, 30)")
        getattr(raw, end)()
        with pytest.raises(psycopg.errors.InvalidCursorName):
            cursor.fetchone()
    with raw.cursor("held", withhold=True) as held:
        held.execute("select generate_series(1, 30)")
        raw.commit()
        assert held.fetchmany(2) == [(1,), (2,)]
    raw.cursor("never").close()


def test_a_named_cursor_in_a_failed_transaction(raw):
    """It closes without a word, as psycopg's own does."""
    with raw.cursor("numbers") as cursor:
        cursor.execute("select generate_series(1, 30)")
        with pytest.raises(psycopg.errors.DivisionByZero):
            raw.execute("select 1 / 0")
    raw.rollback()
    raw.execute("select 1")


def test_a_cursor_that_anothers_rollback_closed(pg, db_session):
    """The limit is named, and a third connection in its transaction does not notice."""
    engine = create_engine(pg.url)
    writer, reader, third = (engine.raw_connection() for _ in range(3))
    writer.cursor().execute("insert into items (name) values ('undone')")
    cursor = reader.driver_connection.cursor("numbers")
    cursor.execute("select generate_series(1, 30)")
    writer.rollback()
    third.cursor().execute("insert into items (name) values ('stands')")
    with pytest.raises(psycopg.NotSupportedError, match="NotInSandbox") as refused:
        cursor.fetchone()
    cursor.close()
    reader.rollback()
    third.commit()

    assert 'isolation="clone"' in refused.value.diag.message_hint
    assert list(db_session.scalars(select(Item.name))) == ["stands"]


def test_named_cursors_and_streams(raw):
    """A named cursor scrolls, and a stream gives row by row."""
    with raw.cursor("numbers", scrollable=True) as cursor:
        cursor.itersize = 7
        cursor.execute("select generate_series(1, 30)")
        assert cursor.fetchone() == (1,)
        cursor.scroll(10)
        assert cursor.fetchmany(2) == [(12,), (13,)]
        assert [number for (number,) in cursor] == list(range(14, 31))
    with raw.cursor() as cursor:
        assert [n for (n,) in cursor.stream("select generate_series(1, 3)")] == [1, 2, 3]


def test_rows_and_cursors(raw, pg):
    """Row factories and cursor classes, of a connection or of one cursor."""
    raw.row_factory = rows.dict_row
    assert raw.execute("select 'lamp' as name").fetchone() == {"name": "lamp"}
    with raw.cursor(row_factory=rows.namedtuple_row) as cursor:
        assert cursor.execute("select 'lamp' as name").fetchone().name == "lamp"
    raw.cursor_factory = psycopg.ClientCursor
    raw.row_factory = rows.tuple_row
    with raw.cursor() as cursor:
        assert cursor.mogrify("select %s", ["it's"]) == "select 'it''s'"
        assert cursor.execute("select %s", ["it's"]).fetchone() == ("it's",)
    engine = create_engine(pg.url, connect_args={"cursor_factory": psycopg.ClientCursor})
    with engine.connect() as connection:
        assert connection.scalar(COUNT) == 0


def test_copy(raw, db_session):
    """COPY in and out is in the transaction; a failing one undoes its own."""
    with raw.cursor() as cursor:
        with cursor.copy("copy items (name) from stdin") as copy:
            for name in "abc":
                copy.write_row([name])
        raw.commit()
        again = cursor.copy("copy items (name) from stdin")
        with pytest.raises(psycopg.errors.UniqueViolation), again as copy:
            copy.write_row(["a"])
        raw.rollback()
        with cursor.copy("copy items (name) to stdout") as copy:
            assert [row[0] for row in copy.rows()] == ["a", "b", "c"]

    assert db_session.scalar(COUNT) == 3


def test_a_statement_in_the_middle_of_a_copy(raw, pg, db_session):
    """What is copied may be read by another connection."""
    other = create_engine(pg.url).raw_connection()
    with raw.cursor().copy("copy items (name) from stdin") as copying:
        for number in range(3):
            row = other.driver_connection.execute("select %s::text", [number]).fetchone()
            copying.write_row(row)
    raw.commit()

    assert db_session.scalar(COUNT) == 3


def test_prepared_statements(raw, pg):
    """Two connections that prepare statements do not meet in the names."""
    other = create_engine(pg.url, connect_args={"prepare_threshold": 0}).raw_connection()
    for number in range(3):
        one = raw.execute("select %s + 1", [number], prepare=True)
        two = other.driver_connection.execute("select %s + 2", [number])
        assert (one.fetchone(), two.fetchone()) == ((number + 1,), (number + 2,))


def test_many_rows_at_once(raw, pg, db_session):
    """executemany, insertmanyvalues, and a unique violation in the middle."""
    with raw.cursor() as cursor:
        cursor.executemany(f"{ADD} returning id", [("a",), ("b",)], returning=True)
        raw.commit()
    with create_engine(pg.url).begin() as connection:
        many = [{"name": str(n)} for n in range(2000)]
        ids = connection.scalars(
            insert(Item).returning(Item.id, sort_by_parameter_order=True), many
        )
        assert len(set(ids)) == 2000
        connection.execute(insert(Item), [{"name": "c"}, {"name": "d"}])
    with create_engine(pg.url).connect() as connection:
        with pytest.raises(IntegrityError):
            connection.execute(insert(Item), [{"name": "e"}, {"name": "a"}])
        connection.rollback()

    assert db_session.scalar(COUNT) == 2004


def test_composed_statements(raw, db_session):
    """Statements made of psycopg.sql are read like any other."""
    raw.execute(
        sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier("items"), sql.Identifier("name"), sql.Literal("lamp")
        )
    )
    raw.execute(sql.SQL("savepoint {}").format(sql.Identifier("a b")))
    raw.execute(b"delete from items")
    raw.execute(sql.SQL("rollback to savepoint {}").format(sql.Identifier("a b")))
    raw.commit()

    assert db_session.scalar(COUNT) == 1


def test_types_keep_their_identity(raw):
    """UUIDs, arrays, ranges, enums, composites and JSON arrive as they do in production."""
    key = uuid.uuid4()
    raw.execute("create type made_by_test as (a int, b text)")
    register_composite(CompositeInfo.fetch(raw, "made_by_test"), raw)
    raw.execute("create type made_by_test_mood as enum ('sad', 'ok')")
    row = raw.execute(
        "select %s::uuid, array[1, 2], int4range(1, 2), '{\"a\": [1]}'::jsonb,"
        " (1, 'x')::made_by_test, 'ok'::made_by_test_mood, now()",
        [key],
    ).fetchone()

    assert row[0] == key
    assert row[1:4] == ([1, 2], Range(1, 2), {"a": [1]})
    assert (row[4].a, row[4].b, row[5]) == (1, "x", "ok")
    assert row[6].tzinfo is not None


def test_what_is_registered_for_one_connection_is_not_for_another(raw, pg):
    """Two engines that read JSON differently, and a connection that does so by itself."""
    plain = create_engine(pg.url)
    other = create_engine(pg.url, json_deserializer=lambda value: ("other", value))
    document = text("select '{}'::jsonb as document").columns(document=JSONB)
    with plain.connect() as one, other.connect() as two:
        assert one.scalar(document) == {}
        assert two.scalar(document) == ("other", b"{}")
        assert one.scalar(document) == {}
    set_json_loads(lambda value: "mine", raw)
    assert raw.execute("select '{}'::jsonb").fetchone() == ("mine",)
    with plain.raw_connection().driver_connection.cursor() as cursor:
        assert cursor.execute("select '{}'::jsonb").fetchone() == ({},)
