"""Errors: their classes, diagnostics and positions, and the transactions that they fail."""

from behaviour import on
from stage import ASYNC, SYNC

_WRONG = (
    "SELECT 1/0",
    "SELECT * FROM nowhere",
    "SELECT nothing FROM items",
    "SELEC 1",
    "SELECT 'x'::int",
    "SELECT 999999999999::int",
    "INSERT INTO items (name) VALUES (NULL)",
    "INSERT INTO parts (number, parent) VALUES (1, NULL), (1, NULL)",
    "INSERT INTO items (id, name) VALUES (1, 'a'), (1, 'b')",
    "CREATE TABLE items ()",
    "DROP TABLE nowhere",
    "SELECT no_function(1)",
    "SELECT current_setting('no.such')",
    "SELECT to_date('x', 'YYYY')",
    "SELECT 1 WHERE 1",
    "SELECT (SELECT 1 UNION SELECT 2)",
    "SELECT array[1, 2][1][1] || 'x' || 1::bool",
    (
        "DO $$ BEGIN RAISE EXCEPTION 'mine' USING ERRCODE = 'XX123', HINT = 'a hint', DETAIL ="
        " 'a detail', CONSTRAINT = 'c', TABLE = 't', COLUMN = 'k'; END $$"
    ),
)


@on(*SYNC)
def classes_and_diagnostics(stage, driver):
    """In autocommit mode each error stands for itself."""
    one = stage.open(driver, autocommit=True)
    for sql in _WRONG:
        stage.run(one, sql)
        stage.run(one, "SELECT 1")


@on(*SYNC)
def errors_in_transactions(stage, driver):
    """Each fails its transaction, and only its own."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(two, "INSERT INTO items (name) VALUES ('good')")
    for sql in _WRONG[:6]:
        stage.run(one, sql)
        stage.run(one, "SELECT 1")
        stage.run(two, "SELECT name FROM items")
        one.rollback()
    two.commit()
    stage.run(one, "SELECT name FROM items")


@on(*ASYNC)
async def classes_of_async_drivers(stage, driver):
    """The same errors by the extended protocol."""
    one = await stage.open_async(driver)
    for sql in _WRONG:
        await stage.fetch(one, sql)
        if driver == "psycopg":
            await one.rollback()
    await stage.fetch(one, "SELECT $1::int" if driver == "asyncpg" else "SELECT %s::int", 1)


@on(*SYNC)
def positions(stage, driver):
    """Counted in characters of the text that the driver sent."""
    one = stage.open(driver, autocommit=True)
    for sql in (
        "SELECT nothing",
        "SELECT 'ü€', nothing",
        "\n\n SELECT\tnothing",
        "SELECT 1 FROM items WHERE nme = 1",
        "INSERT INTO items (nme) VALUES (1)",
    ):
        stage.run(one, sql)
    stage.run(one, "SELECT %s::int, nothing", (1,))


@on(*SYNC)
def details_and_hints(stage, driver):
    """All that the server says."""
    one = stage.open(driver, autocommit=True)
    for sql in (
        *_WRONG[6:10],
        _WRONG[-1],
        "SELECT nam FROM items",
        "INSERT INTO parts (number, parent) VALUES (1, 7); SET CONSTRAINTS ALL IMMEDIATE",
        "DROP TABLE parents",
    ):
        try:
            one.cursor().execute(sql)
        except Exception as error:  # noqa: BLE001  # the driver's
            stage.say(
                "said",
                error.diag.message_detail,
                error.diag.message_hint,
                error.diag.context,
                error.diag.internal_query,
            )
            stage.say(
                "severity",
                error.diag.severity,
                error.diag.severity_nonlocalized,
                error.diag.schema_name,
            )
            stage.say("source", error.diag.source_function)


@on(*SYNC)
def only_a_rollback_helps(stage, driver):
    """25P02 for everything else."""
    one = stage.open(driver, autocommit=True)
    for sql in (
        "BEGIN",
        "SELECT 1/0",
        "SELECT 1",
        "",
        "BEGIN",
        "SAVEPOINT s",
        "RELEASE s",
        "SET work_mem = '5MB'",
        "SHOW work_mem",
        "DECLARE c CURSOR FOR SELECT 1",
        "FETCH c",
        "PREPARE p AS SELECT 1",
        "LISTEN x",
        "PREPARE TRANSACTION 'x'",
        "COMMIT",
        "SELECT 1",
    ):
        if sql:
            stage.run(one, sql)


@on(*ASYNC)
async def only_a_rollback_helps_by_the_extended_protocol(stage, driver):
    """Also a statement that was prepared before."""
    one = await stage.open_async(driver)
    await stage.run_async(one, "BEGIN")
    for sql in ("SELECT 1", "SELECT 1/0", "SELECT 1", "SELECT 2", "COMMIT", "SELECT 1"):
        await stage.fetch(one, sql)


@on(*SYNC)
def duplicate_after_the_others_commit(stage, driver):
    """The error is the later one's."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, "INSERT INTO items (name) VALUES ('same')")
    one.commit()
    stage.run(two, "INSERT INTO items (name) VALUES ('same')")
    two.rollback()
    stage.run(
        two,
        "INSERT INTO items (name) VALUES ('same') ON CONFLICT (name) DO UPDATE SET amount ="
        " 5 RETURNING amount",
    )
    two.commit()
    stage.run(one, "SELECT name, amount FROM items")


@on(*SYNC)
def in_a_function(stage, driver):
    """With its context, and caught by a handler."""
    one = stage.open(driver, autocommit=True)
    for sql in (
        (
            "CREATE FUNCTION divides(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1 /"
            " $1; END $$"
        ),
        "SELECT divides(1)",
        "SELECT divides(0)",
        (
            "CREATE FUNCTION catches(int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN"
            " divides($1)::text; EXCEPTION WHEN division_by_zero THEN RETURN SQLERRM; END $$"
        ),
        "SELECT catches(0)",
        "SELECT catches(1)",
    ):
        stage.run(one, sql)


@on(*SYNC)
def notices_reach_their_connection(stage, driver):
    """Those of a trigger, of RAISE and of DROP IF EXISTS; the other one hears nothing."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    for sql in (
        "DROP TABLE IF EXISTS nowhere",
        (
            "DO $$ BEGIN RAISE NOTICE 'a % b', 1; RAISE WARNING 'warned'; RAISE INFO 'info';"
            " RAISE LOG 'log'; RAISE DEBUG 'debug'; END $$"
        ),
        "SET client_min_messages = debug1",
        "DO $$ BEGIN RAISE DEBUG 'debug'; END $$",
        "SET client_min_messages = error",
        "DO $$ BEGIN RAISE WARNING 'unheard'; END $$",
        "CREATE TABLE IF NOT EXISTS items ()",
    ):
        stage.run(one, sql)
        stage.note(two)
    stage.run(two, "CREATE TABLE IF NOT EXISTS items ()")


@on(*ASYNC)
async def notices_of_async_drivers(stage, driver):
    """With several connections."""
    one, two = await stage.open_async(driver), await stage.open_async(driver)
    await stage.run_async(one, "DO $$ BEGIN RAISE NOTICE 'one'; END $$")
    await stage.run_async(two, "DO $$ BEGIN RAISE WARNING 'two'; END $$")
    await stage.run_async(one, "SELECT 1")


@on(*SYNC)
def too_large_and_too_many(stage, driver):
    """Limits of the server."""
    one = stage.open(driver, autocommit=True)
    stage.run(one, "SELECT " + ", ".join(["1"] * 1665))
    cursor = one.cursor()
    cursor.execute("SELECT length(%s)", ("x" * 3_000_000,))
    stage.say("length", cursor.fetchone())
    with stage.noting("null byte"):
        cursor.execute("SELECT %s", ("a\0b",))
    stage.run(one, "SELECT length(repeat('x', 2000000))")


async def arguments_of_asyncpg(stage):
    """Too few, too many, of the wrong type."""
    one = await stage.open_async()
    await stage.fetch(one, "SELECT $1::int", "x")
    await stage.fetch(one, "SELECT $1::int")
    await stage.fetch(one, "SELECT $1::int", 1, 2)
    await stage.fetch(one, "SELECT $1")
    await stage.fetch(one, "SELECT $2::int", 1, 2)
    await stage.fetch(one, "SELECT $1::int", 2**40)


async def another_operation_in_progress(stage):
    """asyncpg says so itself."""
    import asyncio

    one = await stage.open_async()
    slow = asyncio.ensure_future(one.fetchval("SELECT count(*) FROM generate_series(1, 300000)"))
    await asyncio.sleep(0)
    await stage.fetch(one, "SELECT 1")
    stage.say("slow", await slow)


@on(*SYNC)
def a_terminated_connection(stage, driver):
    """pg_terminate_backend of one's own process."""
    one, two = stage.open(driver), stage.open(driver)
    with stage.noting("terminate"):
        one.cursor().execute("SELECT pg_terminate_backend(pg_backend_pid())")
    stage.say("closed", bool(one.closed))
    with stage.noting("afterwards"):
        one.cursor().execute("SELECT 1")
    stage.run(two, "SELECT 1")
    two.rollback()


@on(*SYNC)
def asserts_in_the_schema(stage, driver):
    """Check, exclusion and domain constraints by name."""
    one = stage.open(driver, autocommit=True)
    for sql in (
        "CREATE DOMAIN positive AS int CONSTRAINT is_positive CHECK (VALUE > 0)",
        "CREATE TABLE t (a positive, b int CONSTRAINT small CHECK (b < 5), EXCLUDE (b WITH =))",
        "INSERT INTO t VALUES (0, 1)",
        "INSERT INTO t VALUES (1, 9)",
        "INSERT INTO t VALUES (1, 1), (2, 1)",
        "INSERT INTO t VALUES (1, 1)",
        "UPDATE t SET b = 7",
    ):
        stage.run(one, sql)
