"""LISTEN and NOTIFY: to whom, when, and never after a rollback."""

import asyncio
import select

from behaviour import on
from stage import ASYNC, SYNC


def _say_received(stage, connection, label, count=1):
    if hasattr(connection, "poll"):
        while len(connection.notifies) < count and select.select([connection], [], [], 2)[0]:
            connection.poll()
        connection.poll()
        found = list(connection.notifies)
        del connection.notifies[:]
    else:
        found = list(connection.notifies(timeout=2 if count else 0.2, stop_after=count or None))
    stage.say(label, [(each.channel, each.payload) for each in found])


def _is_quiet(stage, connection, label):
    """A round trip brings what the server had for the connection."""
    connection.cursor().execute("SELECT 1")
    if hasattr(connection, "poll"):
        connection.poll()
        found = list(connection.notifies)
        del connection.notifies[:]
    else:
        found = list(connection.notifies(timeout=0))
    stage.say(label, [(each.channel, each.payload) for each in found])


def _pair(stage, driver, other=None):
    return stage.open(driver, autocommit=True), stage.open(other or driver, autocommit=True)


@on(
    ("psycopg2", "psycopg2"),
    ("psycopg", "psycopg"),
    ("psycopg2", "psycopg"),
    ("psycopg", "psycopg2"),
)
def to_another_connection(stage, driver, other):
    """With and without a payload."""
    one, two = _pair(stage, driver, other)
    stage.run(one, "LISTEN channel")
    stage.run(two, "NOTIFY channel")
    _say_received(stage, one, "received")
    stage.run(two, "NOTIFY channel, 'payload; COMMIT'")
    stage.run(two, "NOTIFY other, 'unheard'")
    _say_received(stage, one, "received")
    _is_quiet(stage, two, "the sender")


@on(*SYNC)
def to_oneself(stage, driver):
    """One's own notification comes back, with one's own pid."""
    one, _ = _pair(stage, driver)
    stage.run(one, "LISTEN channel")
    stage.run(one, "NOTIFY channel, 'self'")
    if driver == "psycopg2":
        one.poll()
        stage.say("is my own", one.notifies[0].pid == one.info.backend_pid)
    _say_received(stage, one, "received")


@on(*SYNC)
def at_the_commit(stage, driver):
    """Nothing before it."""
    one, two = _pair(stage, driver)
    stage.run(one, "LISTEN channel")
    stage.run(two, "BEGIN")
    stage.run(two, "NOTIFY channel, 'later'")
    _is_quiet(stage, one, "before")
    stage.run(two, "COMMIT")
    _say_received(stage, one, "after")


@on(*SYNC)
def never_after_a_rollback(stage, driver):
    """Also to a savepoint."""
    one, two = _pair(stage, driver)
    stage.run(one, "LISTEN channel")
    for sql in (
        "BEGIN",
        "NOTIFY channel, 'undone'",
        "ROLLBACK",
        "BEGIN",
        "NOTIFY channel, 'kept'",
        "SAVEPOINT s",
        "NOTIFY channel, 'undone'",
        "ROLLBACK TO s",
        "COMMIT",
    ):
        stage.run(two, sql)
    _say_received(stage, one, "received")
    _is_quiet(stage, one, "more")


@on(*SYNC)
def duplicates_are_one(stage, driver):
    """Equal ones of one transaction are delivered once, others in order."""
    one, two = _pair(stage, driver)
    stage.run(one, "LISTEN a")
    stage.run(one, "LISTEN b")
    stage.run(two, "BEGIN; NOTIFY a, '1'; NOTIFY b, '1'; NOTIFY a, '1'; NOTIFY a, '2'; COMMIT")
    _say_received(stage, one, "received", 3)


@on(*SYNC)
def listening_in_a_transaction(stage, driver):
    """LISTEN counts from its commit; rolled back it never was."""
    one, two = _pair(stage, driver)
    for sql in ("BEGIN", "LISTEN undone", "ROLLBACK", "BEGIN", "LISTEN kept"):
        stage.run(one, sql)
    stage.run(two, "NOTIFY undone")
    stage.run(one, "SELECT * FROM pg_listening_channels()")
    stage.run(one, "COMMIT")
    stage.run(one, "SELECT * FROM pg_listening_channels()")
    stage.run(two, "NOTIFY kept")
    _say_received(stage, one, "received")


@on(*SYNC)
def held_back_in_a_transaction(stage, driver):
    """A listener in a transaction hears at its end."""
    one, two = _pair(stage, driver)
    stage.run(one, "LISTEN channel")
    stage.run(one, "BEGIN")
    stage.run(one, "SELECT 1")
    stage.run(two, "NOTIFY channel, 'meanwhile'")
    _is_quiet(stage, one, "inside")
    stage.run(one, "COMMIT")
    _say_received(stage, one, "outside")


@on(*SYNC)
def unlisten(stage, driver):
    """From one channel, from all."""
    one, two = _pair(stage, driver)
    for sql in ("LISTEN a", "LISTEN b", "LISTEN c", "UNLISTEN a", "UNLISTEN nowhere"):
        stage.run(one, sql)
    stage.run(two, "NOTIFY a")
    stage.run(two, "NOTIFY b")
    _say_received(stage, one, "received")
    stage.run(one, "UNLISTEN *")
    stage.run(one, "SELECT * FROM pg_listening_channels()")
    stage.run(two, "NOTIFY c")
    _is_quiet(stage, one, "afterwards")


@on(*SYNC)
def by_the_function(stage, driver):
    """pg_notify with parameters, from a query, in a function."""
    one, two = _pair(stage, driver)
    stage.run(one, 'LISTEN "My Channel"')
    stage.run(two, "SELECT pg_notify(%s, %s)", ("My Channel", "it's ü"))
    stage.run(two, "SELECT pg_notify('My Channel', n::text) FROM generate_series(1, 2) n")
    stage.run(two, "DO $$ BEGIN PERFORM pg_notify('My Channel', 'from a block'); END $$")
    _say_received(stage, one, "received", 4)
    stage.run(two, "SELECT pg_notify('', 'x')")
    stage.run(two, "SELECT pg_notify('c', repeat('x', 9000))")
    stage.run(two, f"NOTIFY {'c' * 70}")


@on(*SYNC)
def by_a_trigger(stage, driver):
    """Delivered for what was committed."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver)
    stage.run(
        one,
        "CREATE FUNCTION tells() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_notify('items', TG_OP || ' ' || NEW.name); RETURN NEW; END $$;"
        " CREATE TRIGGER tells AFTER INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION"
        " tells()",
    )
    stage.run(one, "LISTEN items")
    stage.run(two, "INSERT INTO items (name) VALUES ('undone')")
    two.rollback()
    stage.run(two, "INSERT INTO items (name) VALUES ('kept')")
    stage.run(two, "UPDATE items SET amount = 1")
    two.commit()
    _say_received(stage, one, "received", 2)


@on(*SYNC)
def several_listeners(stage, driver):
    """Each gets its own."""
    one, two = _pair(stage, driver)
    three = stage.open(driver, autocommit=True)
    for connection in (one, two):
        stage.run(connection, "LISTEN channel")
    stage.run(three, "NOTIFY channel, 'all'")
    for connection in (one, two):
        _say_received(stage, connection, "received")


@on(*SYNC)
def of_a_closed_listener(stage, driver):
    """Whoever is gone hears nothing, and a new connection does not listen."""
    one, two = _pair(stage, driver)
    stage.run(one, "LISTEN channel")
    one.close()
    three = stage.open(driver, autocommit=True)
    stage.run(two, "NOTIFY channel")
    _is_quiet(stage, three, "the new one")
    stage.run(three, "SELECT count(*) FROM pg_listening_channels()")


async def listeners_of_asyncpg(stage):
    """add_listener, remove_listener, and the sender's transaction."""
    one, two = await stage.open_async(), await stage.open_async()
    heard = asyncio.Queue()

    def listener(connection, pid, channel, payload):
        heard.put_nowait((channel, payload, pid == two.get_server_pid()))

    await one.add_listener("channel", listener)
    await two.execute("NOTIFY channel, 'plain'")
    stage.say("heard", await asyncio.wait_for(heard.get(), 5))
    with stage.noting("undone"):
        async with two.transaction():
            await two.execute("SELECT pg_notify('channel', 'undone')")
            raise ValueError("of the application")
    async with two.transaction():
        await two.fetch("SELECT pg_notify('channel', $1)", "committed")
        await one.execute("SELECT 1")
        stage.say("before the commit", heard.empty())
    stage.say("heard", await asyncio.wait_for(heard.get(), 5))
    await one.remove_listener("channel", listener)
    await stage.fetch(one, "SELECT * FROM pg_listening_channels()")
    await two.execute("NOTIFY channel, 'unheard'")
    await one.execute("SELECT 1")
    stage.say("empty", heard.empty())


async def a_waiting_listener_of_psycopg(stage):
    """A task waits on notifies() while another one sends."""
    one = await stage.open_async("psycopg", autocommit=True)
    two = await stage.open_async("asyncpg")
    await one.execute("LISTEN channel")

    async def wait():
        return [
            (each.channel, each.payload) async for each in one.notifies(timeout=10, stop_after=2)
        ]

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    await two.execute("NOTIFY channel, '1'")
    await two.execute("NOTIFY channel, '2'")
    stage.say("received", await task)


@on(*ASYNC)
async def from_a_failed_transaction(stage, driver):
    """What was notified before an error is never delivered."""
    one = await stage.open_async(driver)
    two = stage.open("psycopg2", autocommit=True)
    stage.run(two, "LISTEN channel")
    for sql in ("BEGIN", "NOTIFY channel, 'lost'", "SELECT 1/0", "COMMIT"):
        await stage.run_async(one, sql)
    _is_quiet(stage, two, "received")
