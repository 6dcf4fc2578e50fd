"""Savepoints: their names, their nesting, and what they do to settings and errors."""

from behaviour import on
from stage import ASYNC, SYNC


def _count(stage, connection):
    stage.run(connection, "SELECT name FROM items ORDER BY name")


@on(*SYNC)
def same_name_twice(stage, driver):
    """The inner one of two of the same name is found first."""
    one = stage.open(driver)
    for sql in (
        "SAVEPOINT a",
        "INSERT INTO items (name) VALUES ('outer')",
        "SAVEPOINT a",
        "INSERT INTO items (name) VALUES ('inner')",
        "ROLLBACK TO a",
        "SELECT name FROM items",
        "RELEASE a",
        "ROLLBACK TO a",
        "SELECT name FROM items",
        "RELEASE a",
        "RELEASE a",
        "ROLLBACK",
    ):
        stage.run(one, sql)


@on(*SYNC)
def same_name_on_two_connections(stage, driver):
    """Each connection means its own."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, "SAVEPOINT mine")
    stage.run(two, "SAVEPOINT mine")
    stage.run(two, "INSERT INTO items (name) VALUES ('two')")
    stage.run(two, "ROLLBACK TO mine")
    two.commit()
    stage.run(one, "INSERT INTO items (name) VALUES ('one')")
    stage.run(one, "RELEASE mine")
    one.commit()
    _count(stage, two)


@on(*SYNC)
def quoted_names(stage, driver):
    """Case, blanks, keywords and quotes in names mean what they mean on the server."""
    one = stage.open(driver)
    for sql in (
        'SAVEPOINT "Mine"',
        "ROLLBACK TO mine",
        "ROLLBACK",
        'SAVEPOINT "a b"',
        'SAVEPOINT "sele""ct"',
        'RELEASE SAVEPOINT "sele""ct"',
        'ROLLBACK TO SAVEPOINT "a b"',
        "SAVEPOINT Mine",
        'RELEASE "mine"',
        "ROLLBACK WORK",
    ):
        stage.run(one, sql)


@on(*SYNC)
def long_names_are_cut(stage, driver):
    """Two names that are equal in 63 bytes are one savepoint."""
    one = stage.open(driver)
    long = "s" * 70
    stage.run(one, f"SAVEPOINT {long}1")
    stage.run(one, f"RELEASE {long}2")
    one.rollback()


@on(*SYNC)
def nested_four_deep(stage, driver):
    """Going back to a lower one takes the upper ones with it."""
    one = stage.open(driver)
    for level in "abcd":
        stage.run(one, f"SAVEPOINT {level}")
        stage.run(one, f"INSERT INTO items (name) VALUES ('{level}')")
    stage.run(one, "ROLLBACK TO c")
    _count(stage, one)
    stage.run(one, "RELEASE d")
    stage.run(one, "ROLLBACK TO a")
    _count(stage, one)
    stage.run(one, "RELEASE SAVEPOINT b")
    one.rollback()


@on(*SYNC)
def error_then_rollback_to(stage, driver):
    """After an error only going back helps, and then work goes on."""
    one = stage.open(driver)
    for sql in (
        "INSERT INTO items (name) VALUES ('kept')",
        "SAVEPOINT s",
        "SELECT 1/0",
        "SELECT 1",
        "SAVEPOINT t",
        "RELEASE s",
        "ROLLBACK TO t",
        "ROLLBACK TO s",
        "SELECT 1",
        "COMMIT",
        "SELECT name FROM items",
    ):
        stage.run(one, sql)


@on(*SYNC)
def outside_of_a_transaction(stage, driver):
    """A savepoint needs a transaction."""
    one = stage.open(driver, autocommit=True)
    for sql in ("SAVEPOINT s", "RELEASE s", "ROLLBACK TO s", "SELECT 1"):
        stage.run(one, sql)


@on(*SYNC)
def settings_follow_savepoints(stage, driver):
    """What was SET after a savepoint is undone with it; what was SET before stays."""
    one = stage.open(driver)
    show = "SELECT current_setting('work_mem'), current_setting('my.word', true)"
    for sql in (
        "SET work_mem = '5MB'",
        "SAVEPOINT s",
        "SET work_mem = '6MB'",
        "SET LOCAL my.word = 'inner'",
        show,
        "ROLLBACK TO s",
        show,
        "SET LOCAL work_mem = '7MB'",
        "RELEASE s",
        show,
        "COMMIT",
        show,
    ):
        stage.run(one, sql)


@on(*SYNC)
def released_then_rolled_back(stage, driver):
    """A release is no commit."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, "SAVEPOINT s")
    stage.run(one, "INSERT INTO items (name) VALUES ('released')")
    stage.run(one, "RELEASE s")
    one.rollback()
    _count(stage, two)


@on("psycopg")
def blocks_of_psycopg(stage, driver):
    """Blocks nest as savepoints, and Rollback leaves the one that it names."""
    import psycopg

    one = stage.open(driver)
    with one.transaction() as outer:
        stage.run(one, "INSERT INTO items (name) VALUES ('outer')")
        with stage.noting("inner"), one.transaction("named"):
            stage.run(one, "INSERT INTO items (name) VALUES ('inner')")
            stage.run(one, "SELECT 1/0")
            raise ValueError("of the application")
        stage.note(one)
        with one.transaction(force_rollback=True):
            stage.run(one, "INSERT INTO items (name) VALUES ('forced')")
        _count(stage, one)
        with one.transaction():
            stage.run(one, "INSERT INTO items (name) VALUES ('leaves')")
            raise psycopg.Rollback(outer)
    stage.note(one)
    _count(stage, one)


@on("psycopg")
def blocks_left_in_the_wrong_order(stage, driver):
    """psycopg says so itself."""
    one = stage.open(driver)
    outer, inner = one.transaction(), one.transaction()
    outer.__enter__()
    inner.__enter__()
    with stage.noting("outer first"):
        outer.__exit__(None, None, None)
    stage.note(one)
    with stage.noting("inner later"):
        inner.__exit__(None, None, None)
    with stage.noting("rollback"):
        one.rollback()
    stage.note(one)


@on(*ASYNC)
async def blocks_that_nest(stage, driver):
    """An inner block that fails takes its own rows only."""
    one = await stage.open_async(driver)
    async with one.transaction():
        await stage.run_async(one, "INSERT INTO items (name) VALUES ('outer')")
        with stage.noting("inner"):
            async with one.transaction():
                await stage.run_async(one, "INSERT INTO items (name) VALUES ('inner')")
                await one.execute("SELECT 1/0")
        async with one.transaction():
            await stage.run_async(one, "INSERT INTO items (name) VALUES ('second')")
        await stage.fetch(one, "SELECT name FROM items ORDER BY 1")
    await stage.fetch(one, "SELECT name FROM items ORDER BY 1")


@on(*ASYNC)
async def cursors_end_with_their_savepoint(stage, driver):
    """A cursor declared after a savepoint is gone when it is rolled back."""
    one = await stage.open_async(driver)
    for sql in (
        "BEGIN",
        "SAVEPOINT s",
        "DECLARE c CURSOR FOR SELECT generate_series(1, 5)",
        "FETCH 2 FROM c",
        "ROLLBACK TO s",
        "FETCH 2 FROM c",
        "ROLLBACK",
    ):
        await stage.run_async(one, sql)


@on(*SYNC)
def cursors_before_a_savepoint_go_on(stage, driver):
    """Going back does not move a cursor that was declared before."""
    one = stage.open(driver)
    for sql in (
        "DECLARE c CURSOR FOR SELECT generate_series(1, 9)",
        "FETCH 2 FROM c",
        "SAVEPOINT s",
        "FETCH 2 FROM c",
        "ROLLBACK TO s",
        "FETCH 2 FROM c",
        "CLOSE c",
        "ROLLBACK",
    ):
        stage.run(one, sql)


@on(("psycopg2", "psycopg"), ("psycopg", "psycopg2"))
def of_two_drivers(stage, first, second):
    """One rolls back to its savepoint while the other has committed nothing."""
    one, two = stage.open(first), stage.open(second)
    stage.run(one, "INSERT INTO items (name) VALUES ('one')")
    one.commit()
    stage.run(two, "SAVEPOINT s")
    stage.run(two, "INSERT INTO items (name) VALUES ('one')")
    stage.run(two, "ROLLBACK TO s")
    stage.run(two, "INSERT INTO items (name) VALUES ('two')")
    two.commit()
    _count(stage, one)


@on(*SYNC)
def a_thousand(stage, driver):
    """Many savepoints, released and kept."""
    one = stage.open(driver)
    cursor = one.cursor()
    for number in range(300):
        cursor.execute(f"SAVEPOINT s{number}")
        cursor.execute("INSERT INTO items (name) VALUES (%s)", (str(number),))
        if number % 2:
            cursor.execute(f"RELEASE s{number}")
    stage.run(one, "ROLLBACK TO s200")
    stage.run(one, "SELECT count(*) FROM items")
    one.commit()
    stage.run(one, "SELECT count(*) FROM items")
