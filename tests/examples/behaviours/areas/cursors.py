"""Cursors of the server, of one connection and of several at once."""

import psycopg
import psycopg2.extras
from behaviour import on
from stage import ASYNC, SYNC

_ROWS = "SELECT generate_series(1, 10)"


def _play(stage, connection, *statements):
    for sql in statements:
        stage.run(connection, sql)


@on(*SYNC)
def named(stage, driver):
    """Read in parts, in a transaction."""
    one = stage.open(driver)
    with one.cursor("mine") as cursor:
        cursor.execute(_ROWS)
        stage.say("first", cursor.fetchone())
        stage.say("some", cursor.fetchmany(3))
        stage.say("rest", cursor.fetchall())
        stage.say("nothing", cursor.fetchone())
    stage.note(one)
    one.commit()


@on(*SYNC)
def named_without_hold_after_commit(stage, driver):
    """It ends with its transaction."""
    one = stage.open(driver)
    cursor = one.cursor("mine")
    cursor.execute(_ROWS)
    stage.say("first", cursor.fetchone())
    one.commit()
    with stage.noting("after commit"):
        stage.say("second", cursor.fetchone())
    one.rollback()


@on(*SYNC)
def with_hold(stage, driver):
    """It outlives its commit, and not a rollback."""
    one = stage.open(driver)
    cursor = one.cursor("mine", withhold=True)
    cursor.execute(_ROWS)
    stage.say("first", cursor.fetchone())
    one.commit()
    stage.say("second", cursor.fetchmany(2))
    one.rollback()
    stage.say("third", cursor.fetchmany(2))
    cursor.close()
    one.commit()
    undone = one.cursor("undone", withhold=True)
    undone.execute(_ROWS)
    one.rollback()
    with stage.noting("after rollback"):
        stage.say("first", undone.fetchone())


@on(*SYNC)
def scrollable(stage, driver):
    """Forwards and backwards, and not where it was declared not to."""
    one = stage.open(driver)
    cursor = one.cursor("mine", scrollable=True)
    cursor.execute(_ROWS)
    cursor.scroll(4)
    stage.say("fifth", cursor.fetchone())
    cursor.scroll(-3)
    stage.say("third", cursor.fetchone())
    cursor.scroll(0, mode="absolute")
    stage.say("first", cursor.fetchone())
    cursor.close()
    other = one.cursor("other", scrollable=False)
    other.execute(_ROWS)
    other.fetchmany(4)
    with stage.noting("backwards"):
        other.scroll(-2)
    one.rollback()


@on(*SYNC)
def same_name_on_two_connections(stage, driver):
    """Each connection reads its own."""
    one, two = stage.open(driver), stage.open(driver)
    first, second = one.cursor("mine"), two.cursor("mine")
    first.execute("SELECT generate_series(1, 5)")
    second.execute("SELECT generate_series(11, 15)")
    for _ in range(2):
        stage.say("first", first.fetchmany(2))
        stage.say("second", second.fetchmany(2))
    one.commit()
    stage.say("second", second.fetchmany(2))
    two.commit()


@on(*SYNC)
def same_name_twice_on_one(stage, driver):
    """The second is an error."""
    one = stage.open(driver)
    _play(
        stage,
        one,
        f"DECLARE c CURSOR FOR {_ROWS}",
        f"DECLARE c CURSOR FOR {_ROWS}",
        "ROLLBACK",
        "CLOSE c",
        "FETCH c",
    )


@on(*SYNC)
def outside_of_a_transaction(stage, driver):
    """Only WITH HOLD may."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        f"DECLARE c CURSOR FOR {_ROWS}",
        f"DECLARE h CURSOR WITH HOLD FOR {_ROWS}",
        "FETCH 2 FROM h",
        "BEGIN",
        "FETCH 2 FROM h",
        "ROLLBACK",
        "FETCH 2 FROM h",
        "CLOSE ALL",
        "FETCH 1 FROM h",
    )


@on(*SYNC)
def updated_where_current_of(stage, driver):
    """A row is changed through the cursor."""
    one = stage.open(driver)
    _play(
        stage,
        one,
        "INSERT INTO items (name) VALUES ('a'), ('b')",
        "DECLARE c CURSOR FOR SELECT name FROM items ORDER BY id FOR UPDATE",
        "FETCH 1 FROM c",
        "UPDATE items SET amount = 9 WHERE CURRENT OF c",
        "SELECT name, amount FROM items ORDER BY id",
        "DELETE FROM items WHERE CURRENT OF c",
        "MOVE 5 IN c",
        "DELETE FROM items WHERE CURRENT OF c",
    )
    one.rollback()


@on(*SYNC)
def does_not_see_later_rows(stage, driver):
    """A cursor has the snapshot of its beginning."""
    one, two = stage.open(driver), stage.open(driver)
    _play(stage, one, "DECLARE c CURSOR FOR SELECT name FROM items")
    stage.run(two, "INSERT INTO items (name) VALUES ('later')")
    two.commit()
    _play(stage, one, "FETCH ALL FROM c", "SELECT name FROM items")
    one.rollback()


@on(*SYNC)
def goes_on_over_the_others_rollback(stage, driver):
    """What another connection undoes does not close it."""
    one, two = stage.open(driver), stage.open(driver)
    first = one.cursor("mine")
    first.execute(_ROWS)
    stage.say("first", first.fetchmany(2))
    stage.run(two, "INSERT INTO items (name) VALUES ('undone')")
    two.rollback()
    stage.say("first", first.fetchmany(2))
    stage.run(two, "SELECT 1/0")
    two.rollback()
    stage.say("first", first.fetchmany(2))
    one.commit()


@on(*SYNC)
def opened_above_the_others_rows(stage, driver):
    """The other one's rollback comes from below."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(two, "INSERT INTO items (name) VALUES ('undone')")
    first = one.cursor("mine")
    first.execute(_ROWS)
    stage.say("first", first.fetchmany(2))
    with stage.noting("rollback"):
        two.rollback()
    with stage.noting("fetch"):
        stage.say("first", first.fetchmany(2))
    one.rollback()


@on(*SYNC)
def held_over_many_commits_of_the_other(stage, driver):
    """WITH HOLD on one connection while the other works."""
    one, two = stage.open(driver), stage.open(driver)
    held = one.cursor("held", withhold=True)
    held.execute(_ROWS)
    one.commit()
    for number in range(4):
        stage.run(two, "INSERT INTO items (name) VALUES (%s)", (str(number),))
        if number % 2:
            two.rollback()
        else:
            two.commit()
        stage.say("held", held.fetchmany(2))
    held.close()
    one.commit()


@on("psycopg2")
def iterated_in_parts(stage, driver):
    """itersize rows at a time, with another statement in between."""
    one = stage.open(driver)
    cursor = one.cursor("mine")
    cursor.itersize = 3
    cursor.execute(_ROWS)
    for (number,) in cursor:
        if number % 4 == 0:
            stage.run(one, "SELECT %s::int", (number,))
    one.commit()


@on("psycopg")
def client_cursors(stage, driver):
    """ClientCursor binds on the client, and shares the connection's transaction."""
    one = stage.open(driver)
    cursor = psycopg.ClientCursor(one)
    stage.run_on(cursor, "INSERT INTO items (name) VALUES (%s) RETURNING name", ("it's",))
    stage.say("mogrified", cursor.mogrify("SELECT %s, %s", (1, "x")))
    stage.note(one)
    one.rollback()
    stage.run(one, "SELECT name FROM items")
    two = stage.open(driver, cursor_factory=psycopg.ClientCursor)
    stage.run(two, "SELECT %s; SELECT %s", (1, 2))
    two.rollback()


@on("psycopg")
def raw_cursors(stage, driver):
    """RawCursor takes the server's placeholders."""
    one = stage.open(driver)
    stage.run_on(psycopg.RawCursor(one), "SELECT $1::int + $2::int, $1::int", [3, 4])
    one.rollback()


@on("psycopg")
def binary_results(stage, driver):
    """Binary values of the extended protocol."""
    one = stage.open(driver)
    stage.run(
        one,
        "SELECT %s::int, %s::numeric, now() IS NOT NULL, %s::bytea, '{1,2}'::int[],"
        " 'x'::text, NULL",
        (1, 2.5, b"\0\1"),
        binary=True,
    )
    one.rollback()


@on("psycopg")
def streams(stage, driver):
    """stream() reads row by row; the connection is busy meanwhile."""
    one, two = stage.open(driver), stage.open(driver)
    rows = one.cursor().stream(_ROWS)
    stage.say("first", next(rows))
    stage.run(two, "SELECT %s::int", (7,))
    stage.say("second", next(rows))
    stage.run(two, "INSERT INTO items (name) VALUES ('while streaming')")
    two.commit()
    stage.say("rest", [*rows])
    one.commit()
    stage.note(one)


@on("psycopg")
def a_stream_that_is_left(stage, driver):
    """Closing it early frees the connection."""
    one = stage.open(driver)
    rows = one.cursor().stream("SELECT generate_series(1, 2000000)")
    stage.say("first", next(rows))
    rows.close()
    stage.note(one)
    stage.run(one, "SELECT 1")
    one.commit()


@on("psycopg")
def a_stream_with_an_error_in_it(stage, driver):
    """Rows, then an error."""
    one = stage.open(driver)
    with stage.noting("stream"):
        for row in one.cursor().stream("SELECT 6 / (3 - n) FROM generate_series(1, 5) AS n"):
            stage.say("row", row)
    stage.note(one)
    one.rollback()


@on("psycopg2")
def dictionaries(stage, driver):
    """The cursors of psycopg2.extras."""
    one = stage.open(driver, cursor_factory=psycopg2.extras.RealDictCursor)
    stage.run(one, "SELECT 1 AS a, 'x' AS b")
    two = stage.open(driver)
    cursor = two.cursor("mine", cursor_factory=psycopg2.extras.DictCursor)
    cursor.execute("SELECT 1 AS a, 'x' AS b")
    row = cursor.fetchone()
    stage.say("row", row["a"], row[1])
    two.rollback()
    with stage.noting("register"):
        psycopg2.extras.register_uuid(conn_or_curs=two)
        psycopg2.extras.register_default_json(two)
    stage.run(two, "SELECT '{\"a\": [1]}'::json, '00000000-0000-0000-0000-000000000001'::uuid")
    psycopg2.extras.execute_values(
        two.cursor(), "INSERT INTO items (name) VALUES %s", [("a",), ("b",)]
    )
    psycopg2.extras.execute_batch(
        two.cursor(), "UPDATE items SET amount = %s WHERE name = %s", [(1, "a"), (2, "b")]
    )
    stage.run(two, "SELECT name, amount FROM items ORDER BY name")
    two.commit()


async def interleaved_cursors_of_asyncpg(stage):
    """Two connections read in turns, with parameters."""
    one, two = await stage.open_async(), await stage.open_async()
    async with one.transaction(), two.transaction():
        first = await one.cursor("SELECT generate_series(1, $1::int)", 6)
        second = await two.cursor("SELECT generate_series(11, $1::int), $2::text", 16, "x")
        for _ in range(3):
            stage.say("first", await first.fetch(2))
            stage.say("second", await second.fetch(1))
        await stage.fetch(two, "SELECT $1::int + $2::int", 1, 2)
        stage.say("second", await second.fetch(9))
        stage.say("forward", await first.forward(1), await first.fetchrow())


async def iterated_on_asyncpg(stage):
    """async for with a prefetch, and statements of another connection in its body."""
    one, two = await stage.open_async(), await stage.open_async()
    async with one.transaction():
        async for row in one.cursor(
            "SELECT n, $1::text FROM generate_series(1, 5) n", "p", prefetch=2
        ):
            stage.say("row", row)
            await stage.run_async(two, "INSERT INTO items (name) VALUES ($1)", str(row[0]))
    await stage.fetch(one, "SELECT name FROM items ORDER BY 1")
    with stage.noting("outside"):
        await one.cursor("SELECT 1")


@on("psycopg")
async def interleaved_streams_of_psycopg(stage, driver):
    """Two async connections stream in turns."""
    one, two = await stage.open_async(driver), await stage.open_async(driver)
    first = one.cursor().stream("SELECT generate_series(1, %s::int)", (4,))
    second = two.cursor().stream("SELECT generate_series(11, %s::int), %s::text", (14, "x"))
    for _ in range(2):
        stage.say("first", await anext(first))
        stage.say("second", await anext(second))
    await first.aclose()
    stage.say("second", [row async for row in second])
    await stage.run_async(one, "SELECT 1")
    cursor = psycopg.AsyncClientCursor(one)
    await cursor.execute("SELECT %s, %s", (1, "x"))
    stage.say("client cursor", await cursor.fetchall())
    server = two.cursor("named")
    await server.execute(_ROWS)
    stage.say("server cursor", await server.fetchmany(3))
    await one.commit()
    await two.commit()


@on(*ASYNC)
async def refcursors(stage, driver):
    """A function returns a cursor that lives in the transaction."""
    one = await stage.open_async(driver)
    await stage.run_async(
        one,
        "CREATE FUNCTION opened(refcursor) RETURNS refcursor LANGUAGE plpgsql AS $$"
        " BEGIN OPEN $1 FOR SELECT generate_series(1, 4); RETURN $1; END $$",
    )
    if driver == "psycopg":
        await one.commit()
    await stage.run_async(one, "BEGIN")
    await stage.fetch(one, "SELECT opened('c')")
    await stage.fetch(one, "FETCH 2 FROM c")
    await stage.run_async(one, "COMMIT")
    await stage.fetch(one, "FETCH 2 FROM c")
    await stage.run_async(one, "ROLLBACK")
