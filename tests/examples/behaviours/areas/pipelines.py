"""Pipelines of psycopg, and what asyncpg sends together."""

import asyncio

import psycopg
from behaviour import on
from stage import SYNC

_INSERT = "INSERT INTO items (name) VALUES (%s) RETURNING name"
_NAMES = "SELECT name FROM items ORDER BY name"


@on("psycopg")
def results_of_a_pipeline(stage, driver):
    """Several statements are sent before the first answer is read."""
    one = stage.open(driver)
    with one.pipeline():
        cursors = [one.execute("SELECT %s::int", (number,)) for number in range(4)]
        stage.say("fetched", [cursor.fetchone() for cursor in cursors])
        stage.note(one)
    one.commit()
    stage.note(one)


@on("psycopg")
def an_error_in_the_middle(stage, driver):
    """What follows is aborted, to the next sync."""
    one, two = stage.open(driver), stage.open(driver, autocommit=True)
    with stage.noting("pipeline"), one.pipeline():
        first = one.execute(_INSERT, ("a",))
        one.execute("SELECT 1/0")
        third = one.execute(_INSERT, ("b",))
        stage.say("first", first.fetchall())
        with stage.noting("third"):
            stage.say("third", third.fetchall())
    stage.note(one)
    one.rollback()
    stage.run(two, _NAMES)


@on("psycopg")
def an_implicit_transaction(stage, driver):
    """In autocommit mode all up to a sync is one transaction."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    with stage.noting("pipeline"), one.pipeline():
        one.execute(_INSERT, ("a",))
        one.execute(_INSERT, ("b",))
        one.execute("SELECT 1/0")
    stage.note(one)
    stage.run(two, _NAMES)
    with one.pipeline() as pipeline:
        one.execute(_INSERT, ("a",))
        pipeline.sync()
        stage.run(two, _NAMES)
        with stage.noting("after sync"):
            one.execute("SELECT 1/0").fetchone()
    stage.run(two, _NAMES)


@on("psycopg")
def transactions_inside(stage, driver):
    """Blocks, and savepoints in them, are part of the pipeline."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    with one.pipeline():
        with one.transaction():
            one.execute(_INSERT, ("a",))
            with stage.noting("inner"), one.transaction():
                one.execute(_INSERT, ("b",))
                one.execute("SELECT 1/0").fetchone()
            one.execute(_INSERT, ("c",))
        stage.say("read", one.execute(_NAMES).fetchall())
    stage.run(two, _NAMES)


@on("psycopg")
def a_commit_inside(stage, driver):
    """COMMIT and ROLLBACK as statements of a pipeline."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    with one.pipeline() as pipeline:
        for sql in (
            "BEGIN",
            _INSERT.replace("%s", "'a'"),
            "COMMIT",
            "BEGIN",
            _INSERT.replace("%s", "'b'"),
            "ROLLBACK",
        ):
            one.execute(sql)
        pipeline.sync()
        stage.run(two, _NAMES)
    stage.note(one)
    with stage.noting("error in BEGIN"), one.pipeline():
        one.execute("BEGIN")
        one.execute("SELECT 1/0")
        one.execute("COMMIT")
    stage.note(one)
    stage.run(one, "ROLLBACK")


@on("psycopg")
def executemany_in_a_pipeline(stage, driver):
    """With the rows that it returns."""
    one = stage.open(driver)
    with one.pipeline():
        cursor = one.cursor()
        cursor.executemany(_INSERT, [("a",), ("b",), ("c",)], returning=True)
        names = []
        while True:
            names.append(cursor.fetchone())
            if not cursor.nextset():
                break
        stage.say("returned", names)
    one.rollback()
    stage.run(one, _NAMES)


@on("psycopg")
def a_pipeline_beside_another_connection(stage, driver):
    """The other one works while answers are outstanding."""
    one, two = stage.open(driver), stage.open("psycopg2")
    with one.pipeline() as pipeline:
        first = one.execute("SELECT %s::int", (1,))
        stage.run(two, "INSERT INTO items (name) VALUES ('other')")
        two.commit()
        second = one.execute(_NAMES)
        pipeline.sync()
        stage.say("fetched", first.fetchall(), second.fetchall())
    one.rollback()


@on("psycopg")
def a_deferred_constraint_at_the_sync(stage, driver):
    """The implicit transaction ends at the sync, and so it fails there."""
    one = stage.open(driver, autocommit=True)
    with stage.noting("pipeline"), one.pipeline() as pipeline:
        one.execute("INSERT INTO parts (number, parent) VALUES (1, 1)")
        one.execute("SELECT 1")
        pipeline.sync()
        one.execute("SELECT 2")
    stage.note(one)
    stage.run(one, "SELECT number FROM parts")


@on("psycopg")
def savepoints_in_an_implicit_transaction(stage, driver):
    """SAVEPOINT needs a block."""
    one = stage.open(driver, autocommit=True)
    with stage.noting("pipeline"), one.pipeline():
        one.execute("SELECT 1")
        one.execute("SAVEPOINT s")
        one.execute("SELECT 2")
    stage.note(one)


@on("psycopg")
def prepared_in_a_pipeline(stage, driver):
    """Statements that are prepared on the way."""
    one = stage.open(driver, autocommit=True)
    with one.pipeline():
        cursors = [one.execute("SELECT %s::int", (number,), prepare=True) for number in range(3)]
        stage.say("fetched", [cursor.fetchall() for cursor in cursors])
    stage.run(one, "SELECT statement FROM pg_prepared_statements")


@on("psycopg")
async def async_pipelines_at_once(stage, driver):
    """Two connections, two tasks."""
    one, two = await stage.open_async(driver), await stage.open_async(driver)

    async def work(connection, base):
        async with connection.pipeline():
            cursors = [await connection.execute("SELECT %s::int", (base + n,)) for n in range(5)]
            found = [await cursor.fetchone() for cursor in cursors]
        await connection.commit()
        return found

    stage.say("found", await asyncio.gather(work(one, 0), work(two, 100)))


@on("psycopg")
def a_pipeline_left_by_an_exception(stage, driver):
    """What was sent is read, and the connection goes on."""
    one = stage.open(driver)
    with stage.noting("pipeline"), one.pipeline():
        one.execute(_INSERT, ("a",))
        raise ValueError("of the application")
    stage.note(one)
    stage.run(one, _NAMES)
    one.rollback()


@on("psycopg")
def libpq_pipeline_with_flush(stage, driver):
    """libpq's own calls: results are asked for without a sync."""
    one = stage.open(driver, autocommit=True)
    raw = one.pgconn
    raw.enter_pipeline_mode()
    raw.send_query_params(b"SELECT $1::int", [b"5"])
    raw.send_flush_request()
    raw.flush()
    result = raw.get_result()
    stage.say("flushed", result.get_value(0, 0))
    stage.say("end of results", raw.get_result())
    raw.send_query_params(b"SELECT 1/0", [])
    raw.send_query_params(b"SELECT 2", [])
    raw.pipeline_sync()
    raw.flush()
    for _ in range(5):
        result = raw.get_result()
        stage.say("result", psycopg.pq.ExecStatus(result.status).name if result else "none")
    raw.exit_pipeline_mode()
    stage.run(one, "SELECT 1")


async def executemany_beside_others(stage):
    """asyncpg's executemany with many rows while two others read."""
    one, two, three = [await stage.open_async() for _ in range(3)]

    async def read(connection):
        return [await connection.fetchval("SELECT $1::int", number) for number in range(20)]

    rows = [(str(number),) for number in range(500)]
    found = await asyncio.gather(
        one.executemany("INSERT INTO items (name) VALUES ($1)", rows), read(two), read(three)
    )
    stage.say("read", found[1] == found[2] == [*range(20)])
    await stage.fetch(two, "SELECT count(*) FROM items")


@on(*SYNC)
def fetching_what_is_still_on_the_way(stage, driver):
    """A large result of one, half read, while the other asks."""
    one, two = stage.open(driver), stage.open(driver)
    cursor = one.cursor()
    cursor.execute("SELECT repeat('x', 1000) FROM generate_series(1, 3000)")
    stage.run(two, "SELECT 1")
    stage.say("rows", len(cursor.fetchmany(10)), len(cursor.fetchall()))
    one.rollback()
