"""Prepared statements: by SQL, by the protocol, and those that drivers make by themselves."""

from behaviour import on
from stage import ASYNC, SYNC


def _play(stage, connection, *statements):
    for sql in statements:
        stage.run(connection, sql)


@on(*SYNC)
def one_name_on_two_connections(stage, driver):
    """PREPARE p means one thing here and another there."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    _play(stage, one, "PREPARE p AS SELECT 'one'")
    _play(stage, two, "EXECUTE p", "PREPARE p (int) AS SELECT $1 + 1", "EXECUTE p (1)", "EXECUTE p")
    _play(stage, one, "EXECUTE p", "PREPARE p AS SELECT 2", "DEALLOCATE p", "EXECUTE p")
    _play(stage, two, "EXECUTE p (2)", "DEALLOCATE ALL", "EXECUTE p (2)")


@on(*SYNC)
def prepared_in_a_transaction_that_rolls_back(stage, driver):
    """A prepared statement is not transactional."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "BEGIN",
        "PREPARE p AS SELECT 1",
        "ROLLBACK",
        "EXECUTE p",
        "BEGIN",
        "DEALLOCATE p",
        "ROLLBACK",
        "EXECUTE p",
    )


@on(*SYNC)
def listed_for_their_connection(stage, driver):
    """pg_prepared_statements has one's own."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    _play(stage, one, "PREPARE mine AS SELECT 1", 'PREPARE "Also mine" AS SELECT 2')
    _play(stage, two, "PREPARE theirs AS SELECT 3")
    for connection in (one, two):
        stage.run(
            connection,
            "SELECT name, from_sql FROM pg_prepared_statements WHERE from_sql ORDER BY 1",
        )


@on(*SYNC)
def executed_with_writes(stage, driver):
    """EXECUTE of an INSERT belongs to the transaction."""
    one, two = stage.open(driver), stage.open(driver)
    _play(stage, one, "PREPARE add (text) AS INSERT INTO items (name) VALUES ($1) RETURNING name")
    one.commit()
    _play(stage, one, "EXECUTE add ('a')")
    one.rollback()
    _play(
        stage,
        one,
        "EXECUTE add ('b')",
        "EXPLAIN (COSTS off) EXECUTE add ('c')",
        "CREATE TABLE made AS EXECUTE add ('d')",
    )
    one.rollback()
    stage.run(two, "SELECT name FROM items")


@on(*SYNC)
def after_a_change_of_the_table(stage, driver):
    """cached plan must not change result type."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "CREATE TABLE t (a int)",
        "INSERT INTO t VALUES (1)",
        "PREPARE p AS SELECT * FROM t",
        "EXECUTE p",
    )
    stage.run(two, "ALTER TABLE t ADD b int DEFAULT 2")
    _play(stage, one, "EXECUTE p", "DEALLOCATE p", "PREPARE p AS SELECT * FROM t", "EXECUTE p")


@on(*SYNC)
def with_parameters_of_their_own(stage, driver):
    """Placeholders of the server in PREPARE, of the driver in EXECUTE."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "PREPARE p (int, text) AS SELECT $1 * 2, $2 || '!'",
        "EXECUTE p (4, 'x')",
        "EXECUTE p (4)",
        "EXECUTE p ('y', 'x')",
    )
    stage.run(one, "PREPARE q AS SELECT $1")
    stage.run(one, "EXECUTE q (5)")


@on("psycopg")
def executed_again_when_its_table_is_back(stage, driver):
    """A statement of a name that two connections have, whose table is gone for a while."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    for sql in ("CREATE TABLE passing (i int)", "INSERT INTO passing VALUES (1)"):
        stage.run(one, sql)
    one.pgconn.prepare(b"by_protocol", b"SELECT * FROM passing")
    two.pgconn.prepare(b"by_protocol", b"SELECT 2")
    stage.run(one, "PREPARE by_sql AS SELECT * FROM passing")
    stage.run(two, "PREPARE by_sql AS SELECT 3")
    for sql in ("SELECT 1", "DROP TABLE passing", "CREATE TABLE passing (i int)"):
        stage.run(one, sql)
        for connection in (one, two, one, one):
            stage.run(connection, "EXECUTE by_protocol")
            stage.run(connection, "EXECUTE by_sql")


@on("psycopg")
def by_the_driver_after_five(stage, driver):
    """psycopg prepares what it sends often; each connection counts for itself."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    for number in range(7):
        for connection in (one, two):
            connection.execute("SELECT %s::int", (number,)).fetchall()
    for connection in (one, two):
        stage.run(connection, "SELECT name, statement FROM pg_prepared_statements ORDER BY name")
    stage.run(one, "DEALLOCATE ALL")
    stage.run(one, "SELECT %s::int", (8,))
    stage.run(two, "SELECT %s::int", (8,))


@on("psycopg")
def by_the_driver_at_once(stage, driver):
    """prepare=True, with several types of the same text."""
    one = stage.open(driver, autocommit=True, prepare_threshold=0)
    for value in (1, "x", 2.5, None, 2):
        stage.run(one, "SELECT %s", (value,))
    stage.run(one, "SELECT count(*) FROM pg_prepared_statements")


@on("psycopg")
def by_the_driver_in_a_transaction_that_fails(stage, driver):
    """A statement whose preparation failed is prepared again."""
    one = stage.open(driver, prepare_threshold=0)
    stage.run(one, "SELECT * FROM later WHERE a = %s", (1,))
    one.rollback()
    stage.run(one, "CREATE TABLE later (a int)")
    one.commit()
    stage.run(one, "SELECT * FROM later WHERE a = %s", (1,))
    one.rollback()
    stage.run(one, "SELECT * FROM later WHERE a = %s", (1,))
    one.commit()


@on("psycopg")
def evicted_by_the_driver(stage, driver):
    """With place for two."""
    one = stage.open(driver, autocommit=True, prepare_threshold=0)
    one.prepared_max = 2
    for number in range(5):
        stage.run(one, f"SELECT {number}, %s::int", (number,))
    stage.run(one, "SELECT count(*) FROM pg_prepared_statements")


async def names_of_asyncpg_collide(stage):
    """Every connection of asyncpg calls its statements __asyncpg_stmt_1__ and so on."""
    one, two = await stage.open_async(), await stage.open_async()
    first, second = await one.prepare("SELECT $1::int"), await two.prepare("SELECT $1::text, 2")
    for number in range(2):
        stage.say("first", await first.fetch(number))
        stage.say("second", await second.fetch(str(number)))
    stage.say("parameters", [each.name for each in second.get_parameters()])
    stage.say("attributes", [each.name for each in second.get_attributes()])
    await stage.fetch(one, "SELECT count(*) FROM pg_prepared_statements")
    third = await one.prepare("SELECT 'named'", name="__asyncpg_stmt_9__")
    stage.say("third", third.get_name(), await third.fetchval(), third.get_statusmsg())


async def outlives_its_transaction(stage):
    """A statement of the protocol, prepared in a transaction that rolls back."""
    one = await stage.open_async()
    transaction = one.transaction()
    await transaction.start()
    statement = await one.prepare("SELECT $1::int + 1")
    stage.say("inside", await statement.fetchval(1))
    await transaction.rollback()
    stage.say("outside", await statement.fetchval(2))
    await stage.run_async(one, "DEALLOCATE ALL")
    with stage.noting("deallocated"):
        stage.say("outside", await statement.fetchval(3))
    await stage.fetch(one, "SELECT $1::int", 4)


async def the_cache_of_asyncpg(stage):
    """A schema that changes under cached statements."""
    one, two = await stage.open_async(), await stage.open_async()
    await stage.run_async(one, "CREATE TABLE t (a int)")
    await stage.run_async(one, "INSERT INTO t VALUES (1)")
    for _ in range(2):
        await stage.fetch(one, "SELECT * FROM t")
    await stage.run_async(two, "ALTER TABLE t ADD b text DEFAULT 'x'")
    await stage.fetch(one, "SELECT * FROM t")
    async with one.transaction():
        await stage.fetch(one, "SELECT * FROM t WHERE a = $1", 1)
    await stage.run_async(two, "ALTER TABLE t DROP b")
    with stage.noting("in a transaction"):
        async with one.transaction():
            stage.say("rows", await one.fetch("SELECT * FROM t WHERE a = $1", 1))
    await stage.fetch(one, "SELECT * FROM t WHERE a = $1", 1)


async def types_of_a_rolled_back_transaction(stage):
    """asyncpg looks types up, and may not remember those that are gone."""
    one = await stage.open_async()
    for value in ("sad", "glad"):
        transaction = one.transaction()
        await transaction.start()
        await one.execute(f"CREATE TYPE mood AS ENUM ('{value}')")
        await stage.fetch(one, f"SELECT '{value}'::mood, ARRAY['{value}']::mood[]")
        await transaction.rollback()
        await one.reload_schema_state()
    await stage.run_async(one, "CREATE TYPE pair AS (a int, b text)")
    await stage.fetch(one, "SELECT (1, 'x')::pair")
    await one.set_type_codec("json", encoder=str, decoder=len, schema="pg_catalog")
    await stage.fetch(one, "SELECT '[1, 2]'::json")


@on(*ASYNC)
async def the_unnamed_statement_of_two(stage, driver):
    """One's unnamed statement is not replaced by the other's."""
    options = {"statement_cache_size": 0} if driver == "asyncpg" else {"prepare_threshold": None}
    one, two = await stage.open_async(driver, **options), await stage.open_async(driver, **options)
    place = (lambda number: f"${number}") if driver == "asyncpg" else (lambda number: "%s")
    for number in range(3):
        await stage.fetch(one, f"SELECT {place(1)}::int", number)
        await stage.fetch(two, f"SELECT {place(1)}::text, {place(2)}::int", "x", number)
    await stage.fetch(one, "SELECT count(*) FROM pg_prepared_statements")


async def records_while_others_prepare(stage):
    """A cursor of one is read while the other parses statements of other parameters."""
    one, two = (
        await stage.open_async(statement_cache_size=0),
        await stage.open_async(statement_cache_size=0),
    )
    async with one.transaction():
        found = []
        async for row in one.cursor(
            "SELECT n, $1::text FROM generate_series(1, 6) n", "p", prefetch=2
        ):
            found.append(row[0])
            await stage.fetch(two, "SELECT $1::int, $2::int, $3::int", row[0], 2, 3)
        stage.say("found", found)


async def explained(stage):
    """explain() and the query plan as JSON."""
    one = await stage.open_async()
    statement = await one.prepare("SELECT $1::int")
    plan = await statement.explain(1)
    stage.say("plan", plan[0]["Plan"]["Node Type"])
    await stage.fetch(one, "EXPLAIN (COSTS off) SELECT 1")


@on(*SYNC)
def libpq_describe(stage, driver):
    """Row descriptions: names, types, modifiers."""
    one = stage.open(driver)
    cursor = one.cursor()
    cursor.execute(
        "SELECT 1::int2 AS a, 'x'::varchar(7) AS b, 1.5::numeric(5, 2) AS c, NULL AS d, name"
        " FROM items"
    )
    for column in cursor.description:
        stage.say(
            "column",
            column.name,
            column.type_code,
            column.internal_size,
            column.precision,
            column.scale,
        )
    one.rollback()
