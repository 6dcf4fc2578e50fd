"""Time-outs, cancel requests from other threads, cancelled tasks."""

import asyncio
import threading
import time

import psycopg2.extensions
from behaviour import on
from stage import ASYNC, SYNC

_SLOW = "SELECT count(*) FROM generate_series(1, 2000000000)"
_BEGUN = "DO $$ BEGIN RAISE NOTICE 'begun'; PERFORM pg_sleep(9); END $$"
"""The server sends the notice at once, so whoever hears it knows that the statement runs."""
_INSERT = "INSERT INTO items (name) VALUES ('{}')"


def _play(stage, connection, *statements):
    for sql in statements:
        stage.run(connection, sql)


def _cancel_when_active(connection):
    """Cancel as soon as the statement has been sent."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if connection.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_ACTIVE:
            break
    for _ in range(50):
        connection.cancel()
        if connection.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_ACTIVE:
            return
        threading.Event().wait(0.1)


@on(*SYNC)
def statement_timeout(stage, driver):
    """57014, in a transaction and outside."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "SET statement_timeout = '50ms'",
        _SLOW,
        "SELECT 1",
        "BEGIN",
        _INSERT.format("a"),
        "SAVEPOINT s",
        _SLOW,
        "SELECT 1",
        "ROLLBACK TO s",
        "SET LOCAL statement_timeout = 0",
        "SELECT count(*) FROM generate_series(1, 1000000)",
        "COMMIT",
        _SLOW,
    )
    _play(
        stage,
        two,
        "SHOW statement_timeout",
        "SELECT count(*) FROM generate_series(1, 1000000)",
        "SELECT name FROM items",
    )


@on(*SYNC)
def statement_timeout_of_a_text(stage, driver):
    """Over several statements of one text."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "SET statement_timeout = '50ms'",
        f"{_INSERT.format('a')}; {_SLOW}",
        f"BEGIN; {_INSERT.format('b')}; COMMIT; {_SLOW}",
        "SELECT name FROM items",
    )


@on(*SYNC)
def idle_settings_are_kept(stage, driver):
    """Time-outs that do not strike."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "SET idle_in_transaction_session_timeout = '60s'",
        "BEGIN",
        "SELECT 1",
        "SHOW idle_in_transaction_session_timeout",
        "COMMIT",
        "SET LOCAL lock_timeout = '1s'",
        "SHOW lock_timeout",
    )


@on(*SYNC)
def cancelled_from_a_thread(stage, driver):
    """cancel() while a statement runs: 57014, and the connection goes on."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, _INSERT.format("a"))
    thread = threading.Thread(target=_cancel_when_active, args=(one,), daemon=True)
    thread.start()
    stage.run(one, _SLOW)
    thread.join(20)
    stage.run(one, "SELECT 1")
    one.rollback()
    stage.run(one, "SELECT name FROM items")
    one.rollback()
    stage.run(two, "SELECT 1")
    two.rollback()


@on(*SYNC)
def cancelled_while_idle(stage, driver):
    """Nothing happens, to either."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, _INSERT.format("a"))
    two.cancel()
    one.cancel()
    with stage.noting("a moment later"):
        for _ in range(3):
            one.cursor().execute("SELECT 1")
            two.cursor().execute("SELECT 1")
    stage.run(one, "SELECT name FROM items")
    one.commit()
    two.rollback()


@on(*SYNC)
def cancel_of_one_spares_the_other(stage, driver):
    """A cancel key is a connection's own."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    ended = []

    def work():
        cursor = two.cursor()
        cursor.execute("SELECT count(*) FROM generate_series(1, 1500000)")
        ended.append(cursor.fetchone())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    for _ in range(20):
        one.cancel()
    thread.join(20)
    stage.say("the other", ended)
    with stage.noting("drained"):
        one.cursor().execute("SELECT 1")


@on(*SYNC)
def cancelled_in_a_lock_wait(stage, driver):
    """While waiting for the other's advisory lock."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    stage.run(one, "SELECT pg_advisory_lock(7)")
    thread = threading.Thread(target=_cancel_when_active, args=(two,), daemon=True)
    thread.start()
    stage.run(two, "SELECT pg_advisory_lock(7)")
    thread.join(20)
    stage.run(two, "SELECT 1")
    stage.run(one, "SELECT pg_advisory_unlock(7)")


@on(*SYNC)
def by_pid(stage, driver):
    """pg_cancel_backend of the other's pid, while it is idle."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    stage.say("pids differ", one.info.backend_pid != two.info.backend_pid)
    cursor = one.cursor()
    cursor.execute("SELECT pg_backend_pid()")
    stage.say("is my own", cursor.fetchone()[0] == one.info.backend_pid)
    stage.run(one, "SELECT count(*) FROM pg_stat_activity WHERE pid = pg_backend_pid()")
    cursor.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE pid IN (%s, %s)",
        (one.info.backend_pid, two.info.backend_pid),
    )
    stage.say("in the catalog", cursor.fetchone())


@on(*SYNC)
def threads_that_share_a_connection(stage, driver):
    """Both drivers let threads take turns."""
    one = stage.open(driver, autocommit=True)
    found = []

    def work(number):
        cursor = one.cursor()
        for _ in range(10):
            cursor.execute("SELECT %s::int", (number,))
            found.append(cursor.fetchone()[0])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    stage.say("found", sorted(found))


@on(("psycopg2", "psycopg"), ("psycopg", "psycopg"), ("psycopg2", "psycopg2"))
def threads_of_their_own_connections(stage, first, second):
    """Six threads, each with a connection, all committing."""

    def work(number):
        connection = stage.open(first if number % 2 else second)
        for step in range(5):
            cursor = connection.cursor()
            cursor.execute("INSERT INTO items (name) VALUES (%s)", (f"{number} {step}",))
            connection.commit()
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    stage.run(stage.open(first), "SELECT count(*) FROM items")


async def command_timeout(stage):
    """asyncpg cancels, and the connection goes on."""
    one, two = await stage.open_async(command_timeout=0.1), await stage.open_async()
    await stage.fetch(one, _SLOW)
    await stage.fetch(one, "SELECT 1")
    async with two.transaction():
        await stage.run_async(two, _INSERT.format("a"))
        with stage.noting("inner"):
            async with two.transaction():
                await two.fetch(_SLOW, timeout=0.1)
        await stage.fetch(two, "SELECT name FROM items")
    await stage.fetch(one, "SELECT name FROM items")


async def a_cancelled_task(stage):
    """The task's statement is cancelled on the server; asyncpg's connection goes on."""
    one = await stage.open_async()
    begun = asyncio.Event()
    one.add_log_listener(lambda *_: begun.set())
    transaction = one.transaction()
    await transaction.start()
    await stage.run_async(one, _INSERT.format("a"))
    task = asyncio.create_task(one.execute(_BEGUN))
    await begun.wait()
    task.cancel()
    with stage.noting("task", asyncio.CancelledError):
        await task
    await stage.fetch(one, "SELECT 1")
    await transaction.rollback()
    await stage.fetch(one, "SELECT name FROM items")


async def a_cancelled_task_of_psycopg(stage):
    """psycopg cancels and waits for the answer."""
    one = await stage.open_async("psycopg")
    begun = asyncio.Event()
    one.add_notice_handler(lambda _: begun.set())
    await stage.run_async(one, _INSERT.format("a"))
    task = asyncio.create_task(one.execute(_BEGUN))
    await begun.wait()
    task.cancel()
    with stage.noting("task", asyncio.CancelledError):
        await task
    stage.note(one)
    await one.rollback()
    await stage.run_async(one, "SELECT name FROM items")


async def wait_for_gives_up(stage):
    """asyncio.timeout around a statement."""
    one = await stage.open_async()
    with stage.noting("timeout"):
        async with asyncio.timeout(0.1):
            await one.execute(_SLOW)
    await stage.fetch(one, "SELECT 1")


@on(*ASYNC)
async def gathered(stage, driver):
    """Ten connections at once."""
    connections = [await stage.open_async(driver) for _ in range(10)]

    async def work(connection, number):
        async with connection.transaction():
            if driver == "asyncpg":
                await connection.execute("INSERT INTO items (name) VALUES ($1)", str(number))
                return await connection.fetchval("SELECT $1::int", number)
            await connection.execute("INSERT INTO items (name) VALUES (%s)", (str(number),))
            return (await (await connection.execute("SELECT %s::int", (number,))).fetchone())[0]

    found = await asyncio.gather(*(work(each, number) for number, each in enumerate(connections)))
    stage.say("found", found)
    await stage.fetch(connections[0], "SELECT count(*) FROM items")


async def connect_timeouts(stage):
    """A connection that is closed while another one connects."""
    ones = [await stage.open_async() for _ in range(5)]
    closing = [each.close() for each in ones[:4]]
    two, *_ = await asyncio.gather(stage.open_async(), *closing)
    await stage.fetch(two, "SELECT 1")
    await stage.fetch(ones[4], "SELECT 1")
    stage.say("closed", [each.is_closed() for each in ones])
