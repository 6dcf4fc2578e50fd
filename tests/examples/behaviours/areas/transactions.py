"""Where transactions begin and end: statements, blocks, closed and forgotten connections."""

import gc

from behaviour import on
from stage import ASYNC, SYNC

_INSERT = "INSERT INTO items (name) VALUES ('{}')"
_NAMES = "SELECT name FROM items ORDER BY name"


def _play(stage, connection, *statements):
    for sql in statements:
        stage.run(connection, sql)


@on(*SYNC)
def begin_in_a_transaction_warns(stage, driver):
    """The second BEGIN changes nothing."""
    one = stage.open(driver, autocommit=True)
    _play(stage, one, "BEGIN", _INSERT.format("a"), "BEGIN", "ROLLBACK", _NAMES)


@on(*SYNC)
def commit_outside_warns(stage, driver):
    """COMMIT, ROLLBACK and END without a transaction are warnings."""
    one = stage.open(driver, autocommit=True)
    _play(stage, one, "COMMIT", "ROLLBACK", "END", "ABORT", "SELECT 1")


@on(*SYNC)
def every_spelling(stage, driver):
    """The words of the standard and of PostgreSQL."""
    one = stage.open(driver, autocommit=True)
    for begin, end in (
        ("begin work", "commit work"),
        ("BEGIN TRANSACTION", "END TRANSACTION"),
        ("START TRANSACTION", "ABORT WORK"),
        ("  BEGIN  ;", "ROLLBACK TRANSACTION;"),
        ("/* a */ BEGIN -- b", "-- c\n COMMIT"),
        ("begin/**/work", "commit/* /* nested */ */transaction"),
        ("START TRANSACTION READ WRITE, ISOLATION LEVEL READ COMMITTED", "COMMIT AND NO CHAIN"),
    ):
        _play(stage, one, begin, "SELECT 1", end)


@on(*SYNC)
def commit_and_chain(stage, driver):
    """A new transaction with the same modes begins at once."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "BEGIN READ ONLY",
        "COMMIT AND CHAIN",
        "SHOW transaction_read_only",
        _INSERT.format("a"),
        "ROLLBACK AND CHAIN",
        "SHOW transaction_read_only",
        "COMMIT",
        "SHOW transaction_read_only",
    )


@on(*SYNC)
def commit_and_chain_keeps_what_was_committed(stage, driver):
    """What follows may be rolled back alone."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "BEGIN",
        _INSERT.format("first"),
        "COMMIT AND CHAIN",
        _INSERT.format("second"),
        "ROLLBACK",
        _NAMES,
    )


@on(*SYNC)
def chain_outside_is_an_error(stage, driver):
    """There is nothing to chain to."""
    one = stage.open(driver, autocommit=True)
    _play(stage, one, "COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "SELECT 1")


@on(*SYNC)
def commit_of_a_failed_transaction(stage, driver):
    """It is answered as the rollback that it is."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "BEGIN",
        _INSERT.format("a"),
        "SELECT * FROM nowhere",
        "SELECT 1",
        "BEGIN",
        "SHOW work_mem",
        "COMMIT",
        _NAMES,
    )


@on(*SYNC)
def read_only(stage, driver):
    """Writes fail by 25006, and the mode ends with the transaction."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "BEGIN READ ONLY",
        _NAMES,
        _INSERT.format("a"),
        "ROLLBACK",
        "BEGIN",
        "SET TRANSACTION READ ONLY",
        "CREATE TABLE t ()",
        "ROLLBACK",
        _INSERT.format("b"),
        "BEGIN READ ONLY",
        _NAMES,
        "SET TRANSACTION READ WRITE",
        "ROLLBACK",
    )


@on(*SYNC)
def default_transaction_read_only(stage, driver):
    """It holds for one connection, from its next transaction on."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    _play(stage, one, "SET default_transaction_read_only = on", _INSERT.format("a"))
    stage.run(two, _INSERT.format("b"))
    _play(
        stage,
        one,
        "BEGIN READ WRITE",
        _INSERT.format("c"),
        "COMMIT",
        "CREATE TEMP TABLE mine (a int)",
        "INSERT INTO mine VALUES (1)",
        "SELECT nextval('items_id_seq')",
        "RESET default_transaction_read_only",
        _INSERT.format("d"),
        _NAMES,
    )


@on(*SYNC)
def modes_of_the_driver(stage, driver):
    """A read-only session by the driver's own attribute."""
    one = stage.open(driver)
    if driver == "psycopg2":
        one.set_session(readonly=True)
    else:
        one.read_only = True
    _play(stage, one, "SHOW transaction_read_only", _INSERT.format("a"))
    one.rollback()
    if driver == "psycopg2":
        one.set_session(readonly=False, deferrable=True)
    else:
        one.read_only, one.deferrable = False, True
    _play(stage, one, "SHOW transaction_read_only", "SHOW transaction_deferrable")
    one.rollback()


@on("psycopg2")
def with_connection(stage, driver):
    """The block of psycopg2 commits or rolls back, and leaves the connection open."""
    one, two = stage.open(driver), stage.open(driver)
    with one:
        stage.run(one, _INSERT.format("kept"))
    stage.note(one)
    with stage.noting("block"), one:
        stage.run(one, _INSERT.format("undone"))
        raise ValueError("of the application")
    stage.note(one)
    stage.run(two, _NAMES)


@on("psycopg2")
def with_connection_in_autocommit(stage, driver):
    """The block is a transaction also in autocommit mode."""
    one = stage.open(driver, autocommit=True)
    with stage.noting("block"), one:
        stage.run(one, _INSERT.format("undone"))
        stage.note(one)
        stage.run(one, "SELECT 1/0")
        raise ValueError("of the application")
    with one:
        stage.run(one, _INSERT.format("kept"))
    stage.run(one, _NAMES)
    stage.say("autocommit", one.autocommit)


@on("psycopg2")
def with_connection_entered_twice(stage, driver):
    """psycopg2 refuses."""
    one = stage.open(driver)
    with stage.noting("outer"), one, one:
        stage.run(one, "SELECT 1")
    stage.note(one)


@on("psycopg")
def with_connection_closes(stage, driver):
    """The block of psycopg commits and closes."""
    two = stage.open(driver)
    with stage.open(driver) as one:
        stage.run(one, _INSERT.format("kept"))
    stage.note(one)
    with stage.noting("block"), stage.open(driver) as three:
        stage.run(three, _INSERT.format("undone"))
        raise ValueError("of the application")
    stage.run(two, _NAMES)


@on(*SYNC)
def closed_in_a_transaction(stage, driver):
    """What it wrote is undone."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, _INSERT.format("undone"))
    one.close()
    with stage.noting("after close"):
        one.cursor().execute("SELECT 1")
    stage.run(two, _INSERT.format("undone"))
    two.commit()
    stage.run(two, _NAMES)


@on(*SYNC)
def forgotten_in_a_transaction(stage, driver):
    """A connection that nobody holds is closed, and what it wrote is undone."""
    two = stage.open(driver)
    one = stage.open(driver, keep=False, autocommit=True)
    cursor = one.cursor()
    cursor.execute("BEGIN")
    cursor.execute(_INSERT.format("undone"))
    del cursor, one
    gc.collect()
    stage.run(two, "SET lock_timeout = '10s'")
    stage.run(two, _INSERT.format("undone"))
    stage.run(two, _NAMES)


@on(*SYNC)
def status_at_each_step(stage, driver):
    """Idle, in transaction, failed, idle."""
    one = stage.open(driver)
    stage.note(one)
    _play(stage, one, "SELECT 1", "SELECT 1/0", "SELECT 1")
    one.rollback()
    stage.note(one)
    stage.run(one, _INSERT.format("a"))
    one.commit()
    stage.note(one)
    one.commit()
    one.rollback()
    stage.note(one)


@on(*SYNC)
def autocommit_in_a_transaction(stage, driver):
    """Neither driver changes the mode in the middle."""
    one = stage.open(driver)
    stage.run(one, "SELECT 1")
    with stage.noting("autocommit"):
        one.autocommit = True
    one.rollback()
    with stage.noting("autocommit"):
        one.autocommit = True
    _play(stage, one, _INSERT.format("a"), "SELECT 1/0", _INSERT.format("b"), _NAMES)


@on(*SYNC)
def executemany_in_autocommit(stage, driver):
    """psycopg2 commits row by row, psycopg as one pipeline."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver)
    with stage.noting("executemany"):
        one.cursor().executemany(
            "INSERT INTO items (name) VALUES (%s)", [("a",), ("b",), ("a",), ("c",)]
        )
    stage.note(one)
    stage.run(two, _NAMES)
    with stage.noting("executemany"):
        one.cursor().executemany("INSERT INTO items (name) VALUES (%s)", [("x",), ("y",)])
    stage.run(one, _NAMES)


async def transaction_of_asyncpg(stage):
    """start, commit and rollback by hand, and what asyncpg refuses."""
    one = await stage.open_async()
    transaction = one.transaction()
    await transaction.start()
    await stage.run_async(one, _INSERT.format("a"))
    await transaction.commit()
    with stage.noting("again"):
        await transaction.rollback()
    transaction = one.transaction(readonly=True)
    await transaction.start()
    await stage.run_async(one, _INSERT.format("b"))
    await stage.run_async(one, "SELECT 1")
    await transaction.rollback()
    await stage.fetch(one, _NAMES)


async def manual_begin_of_asyncpg(stage):
    """A transaction() inside of a BEGIN by hand is refused by asyncpg."""
    one = await stage.open_async()
    await stage.run_async(one, "BEGIN")
    with stage.noting("transaction"):
        await one.transaction().start()
    await stage.run_async(one, "ROLLBACK")
    await stage.fetch(one, "SELECT 1")


async def executemany_of_asyncpg(stage):
    """It is one transaction, also without one."""
    one, two = await stage.open_async(), await stage.open_async()
    with stage.noting("executemany"):
        await one.executemany("INSERT INTO items (name) VALUES ($1)", [("a",), ("b",), ("a",)])
    await stage.fetch(two, _NAMES)
    await one.executemany("INSERT INTO items (name) VALUES ($1)", [("a",), ("b",)])
    await stage.fetch(two, _NAMES)


@on(*ASYNC)
async def closed_in_an_async_transaction(stage, driver):
    """What it wrote is undone."""
    one, two = await stage.open_async(driver), await stage.open_async(driver)
    await stage.run_async(one, "BEGIN")
    await stage.run_async(one, _INSERT.format("undone"))
    await one.close()
    stage.note(one)
    await stage.run_async(two, _INSERT.format("undone"))
    await stage.fetch(two, _NAMES)


async def terminated_in_a_transaction(stage):
    """terminate() says good-bye to nobody."""
    one, two = await stage.open_async(), await stage.open_async()
    await one.execute("BEGIN")
    await one.execute(_INSERT.format("undone"))
    one.terminate()
    stage.note(one)
    await stage.run_async(two, "SET lock_timeout = '10s'")
    await stage.run_async(two, _INSERT.format("undone"))
    await stage.fetch(two, _NAMES)
