"""Advisory locks of sessions and transactions; and locks of rows and tables."""

import threading

from behaviour import on
from stage import ASYNC, SYNC

# Other databases of the server have advisory locks of their own.
_HERE = (
    "FROM pg_locks WHERE locktype = 'advisory'"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_HELD = f"SELECT mode, granted, classid, objid {_HERE} ORDER BY 1, 2, 3, 4"
_PAIRS = (("psycopg2", "psycopg2"), ("psycopg", "psycopg"), ("psycopg2", "psycopg"))


def _play(stage, connection, *statements):
    for sql in statements:
        stage.run(connection, sql)


def _two(stage, driver, other=None):
    return stage.open(driver, autocommit=True), stage.open(other or driver, autocommit=True)


@on(*_PAIRS)
def try_lock_of_a_session(stage, driver, other):
    """The second connection gets false, the first one counts."""
    one, two = _two(stage, driver, other)
    _play(stage, one, "SELECT pg_try_advisory_lock(7)", "SELECT pg_try_advisory_lock(7)")
    _play(
        stage,
        two,
        "SELECT pg_try_advisory_lock(7)",
        "SELECT pg_try_advisory_lock(7, 0)",
        "SELECT pg_try_advisory_lock(8)",
    )
    _play(stage, one, "SELECT pg_advisory_unlock(7)")
    _play(stage, two, "SELECT pg_try_advisory_lock(7)")
    _play(stage, one, "SELECT pg_advisory_unlock(7)", "SELECT pg_advisory_unlock(7)")
    _play(stage, two, "SELECT pg_try_advisory_lock(7)", "SELECT pg_advisory_unlock_all()")
    _play(stage, one, "SELECT pg_try_advisory_lock(7)", "SELECT pg_advisory_unlock(7)")


@on(*SYNC)
def unlock_of_someone_elses(stage, driver):
    """False, with a warning, and the lock stays."""
    one, two = _two(stage, driver)
    _play(stage, one, "SELECT pg_advisory_lock(7)")
    _play(
        stage,
        two,
        "SELECT pg_advisory_unlock(7)",
        "SELECT pg_advisory_unlock_all()",
        "SELECT pg_try_advisory_lock(7)",
    )
    _play(stage, one, "SELECT pg_advisory_unlock(7)")


@on(*SYNC)
def shared_locks(stage, driver):
    """Shared with shared, not with exclusive."""
    one, two = _two(stage, driver)
    _play(stage, one, "SELECT pg_advisory_lock_shared(7)")
    _play(
        stage,
        two,
        "SELECT pg_try_advisory_lock_shared(7)",
        "SELECT pg_try_advisory_lock(7)",
        "SELECT pg_advisory_unlock_shared(7)",
    )
    _play(
        stage,
        one,
        "SELECT pg_try_advisory_lock(7)",
        "SELECT pg_advisory_unlock(7)",
        "SELECT pg_advisory_unlock_shared(7)",
    )
    _play(stage, two, "SELECT pg_try_advisory_lock(7)", "SELECT pg_advisory_unlock(7)")


@on(*SYNC)
def of_a_transaction(stage, driver):
    """Held to its end, by commit as by rollback."""
    one, two = stage.open(driver), stage.open(driver, autocommit=True)
    _play(stage, one, "SELECT pg_try_advisory_xact_lock(7)")
    _play(stage, two, "SELECT pg_try_advisory_xact_lock(7)", "SELECT pg_try_advisory_lock(7)")
    one.commit()
    _play(stage, two, "SELECT pg_try_advisory_lock(7)", "SELECT pg_advisory_unlock(7)")
    _play(stage, one, "SELECT pg_advisory_xact_lock(7)")
    one.rollback()
    _play(stage, two, "SELECT pg_try_advisory_lock(7)")
    _play(stage, one, "SELECT pg_try_advisory_xact_lock(7)")
    one.rollback()
    _play(stage, two, "SELECT pg_advisory_unlock(7)")


@on(*SYNC)
def of_a_transaction_to_a_savepoint(stage, driver):
    """Going back frees what was locked after it."""
    one, two = stage.open(driver), stage.open(driver, autocommit=True)
    _play(stage, one, "SAVEPOINT s", "SELECT pg_try_advisory_xact_lock(7)", "ROLLBACK TO s")
    _play(stage, two, "SELECT pg_try_advisory_xact_lock(7)")
    _play(stage, one, "SELECT pg_try_advisory_xact_lock(7)", "RELEASE s")
    _play(stage, two, "SELECT pg_try_advisory_xact_lock(7)")
    one.rollback()


@on(*SYNC)
def in_autocommit_a_transactions_lock_is_short(stage, driver):
    """It ends with its statement."""
    one, two = _two(stage, driver)
    _play(stage, one, "SELECT pg_advisory_xact_lock(7)")
    _play(stage, two, "SELECT pg_try_advisory_xact_lock(7)")


@on(*SYNC)
def survives_a_rollback(stage, driver):
    """A session's lock that was taken in a transaction stays when that is undone."""
    one, two = stage.open(driver), stage.open(driver, autocommit=True)
    _play(stage, one, "SELECT pg_advisory_lock(7)")
    one.rollback()
    _play(stage, two, "SELECT pg_try_advisory_lock(7)")
    _play(stage, one, "SELECT 1/0")
    one.rollback()
    _play(stage, two, "SELECT pg_try_advisory_lock(7)")
    _play(stage, one, "SELECT pg_advisory_unlock(7)")
    one.rollback()
    _play(stage, two, "SELECT pg_try_advisory_lock(7)", "SELECT pg_advisory_unlock(7)")


@on(*SYNC)
def freed_by_close(stage, driver):
    """A connection that is closed gives all back."""
    one, two = _two(stage, driver)
    _play(stage, one, "SELECT pg_advisory_lock(7)", "SELECT pg_advisory_lock(7)")
    one.close()
    _play(
        stage,
        two,
        "SET lock_timeout = '10s'",
        "SELECT pg_advisory_lock(7)",
        "SELECT pg_advisory_unlock(7)",
    )


@on(*SYNC)
def a_wait_with_a_timeout(stage, driver):
    """55P03 by lock_timeout, 57014 by statement_timeout."""
    one, two = _two(stage, driver)
    _play(stage, one, "SELECT pg_advisory_lock(7)")
    _play(
        stage,
        two,
        "SET lock_timeout = '50ms'",
        "SELECT pg_advisory_lock(7)",
        "SELECT pg_advisory_xact_lock_shared(7)",
        "SET lock_timeout = 0",
        "SET statement_timeout = '50ms'",
        "SELECT pg_advisory_lock(7)",
    )
    _play(
        stage,
        two,
        "BEGIN",
        "SELECT pg_advisory_lock(7)",
        "SELECT 1",
        "ROLLBACK",
        "RESET statement_timeout",
    )
    _play(stage, one, "SELECT pg_advisory_unlock(7)")
    _play(stage, two, "SELECT pg_advisory_lock(7)", "SELECT pg_advisory_unlock(7)")


@on(*SYNC)
def a_wait_in_a_thread(stage, driver):
    """The waiter goes on when the holder unlocks."""
    one, two = _two(stage, driver)
    _play(stage, one, "SELECT pg_advisory_lock(7)")
    got = []
    about_to = threading.Event()

    def wait():
        cursor = two.cursor()
        about_to.set()
        cursor.execute("SELECT pg_advisory_lock(7)")
        got.append("locked")

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    about_to.wait(10)
    stage.say("before", got)
    _play(stage, one, "SELECT pg_advisory_unlock(7)")
    waiter.join(10)
    stage.say("after", got, waiter.is_alive())
    _play(stage, one, "SELECT pg_try_advisory_lock(7)")
    _play(stage, two, "SELECT pg_advisory_unlock(7)")


@on(*SYNC)
def a_deadlock(stage, driver):
    """One of two that wait for each other gets 40P01."""
    one, two = _two(stage, driver)
    _play(stage, one, "SELECT pg_advisory_lock(1)", "SET deadlock_timeout = '20ms'")
    _play(stage, two, "SELECT pg_advisory_lock(2)", "SET deadlock_timeout = '10s'")
    ended = []

    def wait():
        cursor = two.cursor()
        cursor.execute("SELECT pg_advisory_lock(1)")
        ended.append(cursor.fetchall())

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    watcher = stage.open(driver, autocommit=True)
    cursor = watcher.cursor()
    for _ in range(2000):
        cursor.execute(f"SELECT count(*) {_HERE} AND NOT granted")
        if cursor.fetchone()[0]:
            break
    _play(stage, one, "SELECT pg_advisory_lock(2)", "SELECT pg_advisory_unlock_all()")
    waiter.join(10)
    stage.say("the other", len(ended), waiter.is_alive())
    _play(stage, two, "SELECT pg_advisory_unlock_all()")


@on(*SYNC)
def in_the_catalog(stage, driver):
    """pg_locks shows them; each of two keys has its place."""
    one, two = _two(stage, driver)
    _play(stage, one, "SELECT pg_advisory_lock(7)", "SELECT pg_advisory_lock_shared(1, 2)")
    _play(
        stage,
        two,
        _HELD,
        "SELECT pg_try_advisory_lock_shared(1, 2)",
        _HELD,
        f"SELECT count(DISTINCT pid) {_HERE}",
    )
    for connection in (one, two):
        _play(stage, connection, "SELECT pg_advisory_unlock_all()", _HELD)


@on(*SYNC)
def in_a_larger_query(stage, driver):
    """For each row, in a condition, in a function, with a hashed key."""
    one, two = _two(stage, driver)
    for sql in (
        "SELECT n, pg_try_advisory_lock(n) FROM generate_series(1, 3) n",
        "SELECT 1 WHERE pg_try_advisory_lock(hashtext('a job'))",
        "DO $$ BEGIN PERFORM pg_advisory_lock(50); END $$",
        (
            "CREATE FUNCTION takes(bigint) RETURNS boolean LANGUAGE sql AS 'SELECT"
            " pg_try_advisory_lock($1)'"
        ),
        "SELECT takes(60)",
    ):
        stage.run(one, sql)
    _play(
        stage,
        two,
        "SELECT n, pg_try_advisory_lock(n) FROM generate_series(2, 4) n",
        "SELECT pg_try_advisory_lock(hashtext('a job'))",
        "SELECT pg_try_advisory_lock(50)",
        "SELECT takes(60)",
    )
    stage.run(one, "SELECT pg_advisory_unlock_all()")
    stage.run(two, "SELECT takes(60)")
    stage.run(two, "SELECT pg_advisory_unlock_all()")


@on(*SYNC)
def with_parameters(stage, driver):
    """The key is bound."""
    one, two = _two(stage, driver)
    stage.run(one, "SELECT pg_try_advisory_lock(%s)", (7,))
    stage.run(two, "SELECT pg_try_advisory_lock(%s)", (7,))
    stage.run(two, "SELECT pg_try_advisory_lock(%s, %s)", (7, 8))
    stage.run(one, "SELECT pg_try_advisory_lock(%s, %s)", (7, 8))
    stage.run(one, "SELECT pg_advisory_unlock(%s)", (7,))
    stage.run(two, "SELECT pg_advisory_unlock(%s, %s)", (7, 8))


@on(*ASYNC)
async def of_two_tasks(stage, driver):
    """The usual once-only job."""
    one, two = await stage.open_async(driver), await stage.open_async(driver)
    if driver == "psycopg":
        await one.set_autocommit(True)
        await two.set_autocommit(True)
    await stage.fetch(one, "SELECT pg_try_advisory_lock(1)")
    await stage.fetch(two, "SELECT pg_try_advisory_lock(1)")
    await stage.fetch(two, "SELECT pg_advisory_unlock(1)")
    if driver == "asyncpg":
        await two.reset()
    await stage.fetch(one, "SELECT pg_advisory_unlock(1)")
    await stage.fetch(two, "SELECT pg_try_advisory_lock(1)")
    await stage.fetch(two, "SELECT pg_advisory_unlock(1)")


@on(*SYNC)
def row_locks_of_two(stage, driver):
    """The second writer of a row waits."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, "INSERT INTO items (name) VALUES ('a')")
    one.commit()
    stage.run(one, "SELECT name FROM items FOR UPDATE")
    _play(stage, two, "SET lock_timeout = '50ms'", "SELECT name FROM items FOR UPDATE")
    two.rollback()
    _play(stage, two, "SELECT name FROM items FOR UPDATE NOWAIT")
    two.rollback()
    one.rollback()


@on(*SYNC)
def rows_that_are_skipped(stage, driver):
    """SKIP LOCKED, the queue of many applications."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, "INSERT INTO items (name) VALUES ('a'), ('b')")
    one.commit()
    take = "SELECT name FROM items ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1"
    stage.run(one, take)
    stage.run(two, take)
    one.rollback()
    two.rollback()


@on(*SYNC)
def an_update_of_the_same_row(stage, driver):
    """The later one waits for the earlier one's end."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, "INSERT INTO items (name) VALUES ('a')")
    one.commit()
    stage.run(one, "UPDATE items SET amount = amount + 1")
    _play(stage, two, "SET lock_timeout = '50ms'", "UPDATE items SET amount = amount + 10")
    two.rollback()
    one.commit()
    stage.run(two, "SELECT amount FROM items")


@on(*SYNC)
def the_same_key_by_two(stage, driver):
    """A unique key that another transaction has not committed."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, "INSERT INTO items (name) VALUES ('same')")
    _play(stage, two, "SET lock_timeout = '50ms'", "INSERT INTO items (name) VALUES ('same')")
    two.rollback()
    one.commit()


@on(*SYNC)
def locks_of_tables(stage, driver):
    """LOCK TABLE, and a reader with NOWAIT."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, "LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
    stage.run(two, "LOCK TABLE items IN ACCESS SHARE MODE NOWAIT")
    two.rollback()
    one.rollback()
    stage.run(two, "LOCK TABLE items IN ACCESS SHARE MODE NOWAIT")
    two.rollback()
    three = stage.open(driver, autocommit=True)
    stage.run(three, "LOCK TABLE items")
