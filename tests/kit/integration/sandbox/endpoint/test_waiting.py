"""Advisory locks, LISTEN and NOTIFY, notices: what passes between the clients of one test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import psycopg
import psycopg2
import pytest

from tests.kit.integration.sandbox.endpoint.conftest import Sandbox
from tests.kit.integration.sandbox.endpoint.wire import (
    SYNC,
    Message,
    Wire,
    bind,
    errors,
    execute,
    extended,
    kinds,
    parse,
    query,
    rows,
)


def _are_served(sandbox: Sandbox) -> None:
    """Return when the endpoint has looked at everything that was sent before."""
    assert sandbox.client().value("SELECT 2") == "2"


# -- advisory locks ----------------------------------------------------------------------------

LOCKS = [
    ("pg_advisory_lock(1)", "pg_advisory_unlock(1)"),
    ("pg_advisory_lock(1, 2)", "pg_advisory_unlock(1, 2)"),
    ("pg_advisory_lock(-1)", "pg_advisory_unlock(-1)"),
    ("pg_advisory_lock(hashtext('a'))", "pg_advisory_unlock_all()"),
    ("pg_catalog.pg_advisory_lock ( 10 + 5 )", "pg_advisory_unlock(15)"),
]


@pytest.mark.parametrize(("lock", "unlock"), LOCKS)
def test_a_lock_is_waited_for(sandbox: Sandbox, lock: str, unlock: str) -> None:
    """Its holder goes on meanwhile, and so does everybody else."""
    one, other = sandbox.client(), sandbox.client()
    one.rows(f"SELECT {lock}")
    other.send(query(f"SELECT {lock}"))
    _are_served(sandbox)
    assert other.is_silent()
    one.rows("SELECT 1 + 1")
    assert other.is_silent()
    one.rows(f"SELECT {unlock}")

    assert kinds(other.until("Z")) == "TDCZ"
    other.rows(f"SELECT {unlock}")


def test_a_lock_with_a_parameter_is_waited_for(sandbox: Sandbox) -> None:
    """As drivers send it, with a key that only the server can tell."""
    one, other = sandbox.client(), sandbox.client()
    assert rows(one.ask(extended("SELECT pg_try_advisory_lock($1)", "5"))) == [("t",)]
    assert rows(other.ask(extended("SELECT pg_try_advisory_lock($1)", "5"))) == [("f",)]
    other.send(extended("SELECT pg_advisory_lock($1)", "5"))
    assert kinds(other.until("T")) == "12T"
    _are_served(sandbox)
    assert other.is_silent()
    assert rows(one.ask(extended("SELECT pg_advisory_unlock($1)", "5"))) == [("t",)]

    assert kinds(other.until("Z")) == "DCZ"
    assert rows(other.ask(extended("SELECT pg_advisory_unlock($1)", "5"))) == [("t",)]
    assert rows(other.ask(extended("SELECT pg_advisory_unlock($1)", "5"))) == [("f",)]


def test_a_pipeline_goes_on_after_it_waited(sandbox: Sandbox) -> None:
    """Each of its messages is answered once, in order."""
    one, other = sandbox.client(), sandbox.client()
    one.rows("SELECT pg_advisory_lock(1)")
    other.send(
        extended("INSERT INTO items VALUES ($1)", "1")
        + parse("SELECT 'before'")
        + bind()
        + execute()
        + parse("SELECT pg_advisory_lock($1)")
        + bind("", "", "1")
        + execute()
        + parse("SELECT 'after'")
        + bind()
        + execute()
        + SYNC
        + query("SELECT pg_advisory_unlock(1); SELECT 'last'")
    )
    _are_served(sandbox)
    one.rows("SELECT pg_advisory_unlock(1)")
    heard = other.until("Z") + other.until("Z") + other.until("Z")

    assert errors(heard) == []
    assert [value for (value,) in rows(heard)] == ["before", "", "after", "t", "last"]
    assert one.rows("SELECT id FROM items") == [("1",)]


def test_readers_share_and_wait_for_a_writer(sandbox: Sandbox) -> None:
    """All of them get in when it is gone."""
    writer, *readers = (sandbox.client() for _ in range(4))
    writer.rows("SELECT pg_advisory_lock(1)")
    for each in readers:
        each.send(query("SELECT pg_advisory_lock_shared(1)"))
    _are_served(sandbox)
    writer.rows("SELECT pg_advisory_unlock(1)")

    assert [kinds(each.until("Z")) for each in readers] == ["TDCZ"] * 3
    assert writer.value("SELECT pg_try_advisory_lock(1)") == "f"
    for each in readers:
        each.rows("SELECT pg_advisory_unlock_shared(1)")
    assert writer.value("SELECT pg_try_advisory_lock(1)") == "t"
    writer.rows("SELECT pg_advisory_unlock_all()")


def test_a_lock_of_a_transaction_ends_with_it(sandbox: Sandbox) -> None:
    """By COMMIT, by ROLLBACK, and at once where there is no block."""
    one, other = sandbox.client(), sandbox.client()
    one.rows("SELECT pg_advisory_xact_lock(1)")
    assert other.value("SELECT pg_try_advisory_xact_lock(1)") == "t"
    for end in ("COMMIT", "ROLLBACK"):
        one.run("BEGIN")
        one.rows("SELECT pg_advisory_xact_lock(1)")
        assert other.value("SELECT pg_try_advisory_xact_lock(1)") == "f"
        one.run(end)
        assert other.value("SELECT pg_try_advisory_xact_lock(1)") == "t"


def test_a_lock_is_held_as_often_as_it_was_taken(sandbox: Sandbox) -> None:
    """And unlocking what one does not hold is a warning."""
    one, other = sandbox.client(), sandbox.client()
    one.rows("SELECT pg_advisory_lock(1)")
    one.rows("SELECT pg_advisory_lock(1)")
    heard = other.run("SELECT pg_advisory_unlock(1)")

    assert (kinds(heard), rows(heard)) == ("NTDCZ", [("f",)])
    one.rows("SELECT pg_advisory_unlock(1)")
    assert other.value("SELECT pg_try_advisory_lock(1)") == "f"
    one.rows("SELECT pg_advisory_unlock(1)")
    assert other.value("SELECT pg_try_advisory_lock(1)") == "t"
    other.rows("SELECT pg_advisory_unlock(1)")


def test_clients_that_wait_for_each_other_hear_of_it(sandbox: Sandbox) -> None:
    """In a circle of three, the last one gets the server's error, and the others go on."""
    clients = [sandbox.client() for _ in range(3)]
    for number, client in enumerate(clients):
        client.run("BEGIN")
        client.rows(f"SELECT pg_advisory_xact_lock({number})")
    for number, client in enumerate(clients[:2]):
        client.send(query(f"SELECT pg_advisory_xact_lock({number + 1})"))
        _are_served(sandbox)

    assert errors(clients[2].run("SELECT pg_advisory_xact_lock(0)")) == ["40P01"]
    clients[2].run("ROLLBACK")
    assert errors(clients[1].until("Z")) == []
    clients[1].run("ROLLBACK")
    assert errors(clients[0].until("Z")) == []


@pytest.mark.parametrize(
    "text",
    [
        "SELECT pg_advisory_lock('no number')",
        "SELECT pg_advisory_lock(1, 2, 3)",
        "SELECT pg_advisory_lock(1/0)",
        "SELECT pg_advisory_lock()",
        "SELECT pg_advisory_lock(generate_series(1, 0))",
        "SELECT pg_advisory_lock(NULL)",
        "SELECT pg_advisory_lock((SELECT 1 WHERE false))",
    ],
)
@pytest.mark.parametrize("is_extended", [False, True])
def test_a_call_without_a_key_locks_nothing(sandbox: Sandbox, text: str, is_extended: bool) -> None:
    """The answer is the server's, and nobody waits for it afterwards."""
    client, other, real = sandbox.client(), sandbox.client(), sandbox.direct()
    request = extended(text) if is_extended else query(text)
    heard, said = client.ask(request), real.ask(request)

    assert (kinds(heard), errors(heard), rows(heard)) == (kinds(said), errors(said), rows(said))
    for key in ("0", "1", "2", "1, 2"):
        assert other.value(f"SELECT pg_try_advisory_lock({key})") == "t"
    other.rows("SELECT pg_advisory_unlock_all()")


def test_a_call_that_fails_locks_nothing(sandbox: Sandbox) -> None:
    """Others do not wait for a lock that its client did not get."""
    client, other = sandbox.client(), sandbox.client()

    assert errors(client.run("SELECT pg_advisory_lock(1.5)")) == ["42883"]
    assert other.value("SELECT pg_try_advisory_lock(2)") == "t"
    other.rows("SELECT pg_advisory_unlock(2)")


def test_several_keys_in_one_statement(sandbox: Sandbox) -> None:
    """A series, or the rows of a table."""
    one, other = sandbox.client(), sandbox.client()
    one.run("INSERT INTO items VALUES (5), (6)")
    one.rows("SELECT pg_advisory_lock(generate_series(1, 2))")
    one.rows("SELECT pg_advisory_lock(id) FROM items")

    assert [other.value(f"SELECT pg_try_advisory_lock({n})") for n in (1, 2, 5, 6)] == ["f"] * 4
    one.rows("SELECT pg_advisory_unlock_all()")


LOCKING = [
    "CREATE TABLE jobs (id int)",
    """CREATE FUNCTION hold(key int) RETURNS void LANGUAGE sql
        AS 'SELECT pg_advisory_xact_lock(key)'""",
    """CREATE FUNCTION keep(key int) RETURNS void LANGUAGE sql
        AS 'SELECT pg_advisory_lock(key)'""",
    """CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN PERFORM hold(NEW.id); RETURN NEW; END'""",
    "CREATE TRIGGER holds AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION held()",
    """CREATE FUNCTION put(job int) RETURNS int LANGUAGE sql
        AS 'INSERT INTO jobs VALUES (job) RETURNING id'""",
]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT hold(1)",
        "INSERT INTO jobs VALUES (1)",
        "SELECT put(1)",
        "DO 'BEGIN PERFORM put(1); END'",
    ],
)
def test_what_a_function_locks_for_its_transaction_is_free_after_it(
    sandbox: Sandbox, text: str
) -> None:
    """However the statement comes to that function; another connection may have it then."""
    one, other = sandbox.client(), sandbox.client()
    for each in LOCKING:
        assert errors(one.run(each)) == []
    one.run("BEGIN")
    assert errors(one.run(text)) == []

    assert other.value("SELECT pg_try_advisory_lock(1)") == "f"
    one.run("COMMIT")
    assert other.value("SELECT pg_try_advisory_lock(1)") == "t"
    assert other.value("SELECT pg_advisory_unlock(1)") == "t"


def test_what_a_function_locks_for_its_session_stays(sandbox: Sandbox) -> None:
    """It is not taken for a lock of the transaction, though other functions take such."""
    one, other = sandbox.client(), sandbox.client()
    for each in LOCKING:
        assert errors(one.run(each)) == []
    one.run("BEGIN")
    one.run("SELECT keep(1), hold(2)")
    one.run("COMMIT")

    found = [other.value(f"SELECT pg_try_advisory_xact_lock({key})") for key in (1, 2)]
    assert found == ["f", "t"]
    assert one.value("SELECT pg_advisory_unlock(1)") == "t"
    assert other.value("SELECT pg_try_advisory_xact_lock(1)") == "t"


def test_who_waits_at_the_end_of_the_test_hears_of_it(sandbox: Sandbox) -> None:
    """A thread that nobody has joined does not wait for ever, and its connection is usable."""
    one, other = sandbox.client(), sandbox.client()
    one.run("BEGIN")
    one.rows("SELECT pg_advisory_xact_lock(1)")
    other.send(query("SELECT pg_advisory_xact_lock(1)"))
    _are_served(sandbox)
    sandbox.finish()
    sandbox.process.tell("enter", test="the next one")

    assert other.until("Z")[-1].body == b"I"
    assert other.value("SELECT 1") == "1"


def test_threads_of_drivers_wait_for_each_other(sandbox: Sandbox) -> None:
    """One that blocks, and one that does not."""

    async def run(holder: psycopg2.extensions.connection) -> str:
        connection = await asyncpg.connect(
            host=str(sandbox.process.folder), port=5432, user="postgres", database=sandbox.database
        )
        waiting = asyncio.create_task(connection.fetchval("SELECT pg_advisory_lock($1)", 7))
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        holder.cursor().execute("SELECT pg_advisory_unlock(7)")
        await asyncio.wait_for(waiting, 10)
        found = await connection.fetchval("SELECT pg_advisory_unlock($1)", 7)
        await connection.close()
        return str(found)

    holder = psycopg2.connect(**sandbox.dsn)
    holder.autocommit = True
    holder.cursor().execute("SELECT pg_advisory_lock(7)")

    assert asyncio.run(run(holder)) == "True"
    holder.close()


# -- LISTEN and NOTIFY -------------------------------------------------------------------------


def _heard_by(client: Wire) -> list[tuple[str, str]]:
    heard = client.run("")
    return [_notified(each) for each in heard if each.kind == "A"]


def _notified(each: Message) -> tuple[str, str]:
    channel, payload, _ = each.body[4:].split(b"\0")
    return channel.decode(), payload.decode()


def test_a_notification_comes_with_the_commit(sandbox: Sandbox) -> None:
    """To everybody who listens, the sender too, with the sender's pid, and at once."""
    one, other, deaf = sandbox.client(), sandbox.client(), sandbox.client()
    for each in (one, other):
        each.run("LISTEN news")
    one.run("BEGIN")
    one.run("NOTIFY news, 'first'")
    one.run("NOTIFY news, 'first'")
    one.rows("SELECT pg_notify('news', 'second')")
    one.run("NOTIFY elsewhere")
    assert other.is_silent()
    heard = one.run("COMMIT")

    assert [_notified(each) for each in heard if each.kind == "A"] == [
        ("news", "first"),
        ("news", "second"),
    ]
    first = other.next()
    assert (first.kind, int.from_bytes(first.body[:4], "big")) == ("A", one.pid)
    assert _notified(other.next()) == ("news", "second")
    assert _heard_by(deaf) == []


def test_what_is_rolled_back_is_not_told(sandbox: Sandbox) -> None:
    """Nor what stands behind a savepoint that is gone, nor what a failed transaction said."""
    one, other = sandbox.client(), sandbox.client()
    other.run("LISTEN news")
    for text in (
        "BEGIN; NOTIFY news, 'a'; ROLLBACK",
        "BEGIN; SAVEPOINT s; NOTIFY news, 'b'; ROLLBACK TO s; NOTIFY news, 'c'; COMMIT",
        "NOTIFY news, 'd'; SELECT 1/0",
        "BEGIN; SAVEPOINT s; NOTIFY news, 'e'; RELEASE s; COMMIT",
    ):
        one.run(text)

    assert _heard_by(other) == [("news", "c"), ("news", "e")]


def test_listening_begins_and_ends_with_a_commit(sandbox: Sandbox) -> None:
    """LISTEN and UNLISTEN are transactional, too."""
    one, other = sandbox.client(), sandbox.client()
    other.run("BEGIN; LISTEN news; ROLLBACK")
    one.run("NOTIFY news, 'a'")
    other.run("LISTEN news; LISTEN more")
    one.run("NOTIFY news, 'b'; NOTIFY more, 'c'")
    assert _heard_by(other) == [("news", "b"), ("more", "c")]
    other.run("BEGIN; UNLISTEN news")
    one.run("NOTIFY news, 'd'")
    assert other.is_silent()
    other.run("ROLLBACK")
    other.run("UNLISTEN *")
    one.run("NOTIFY more, 'e'")

    assert _heard_by(other) == []


PAYLOADS = [
    "NOTIFY news",
    "NOTIFY news, ''",
    "NOTIFY news, 'it''s'",
    "NOTIFY news, E'a\\nb\\t\\'c\\\\'",
    "NOTIFY news, E'\\x41\\101\\u00e9'",
    "NOTIFY news, $$a 'quoted' one$$",
    "NOTIFY news, $x$a $$ b$x$",
    "NOTIFY news, 'one'\n'two'",
    "NOTIFY news /* , 'no' */ , 'yes' -- 'no'",
    "NOTIFY \"news\", 'quoted'",
    "NOTIFY NEWS, 'folded'",
    "SELECT pg_notify('news', 'a' || 'b')",
    "SELECT pg_notify('news', g::text) FROM generate_series(1, 3) g",
    "SELECT pg_notify('news', 'x') WHERE false",
    "SELECT pg_notify('news', NULL)",
    "DO $$ BEGIN PERFORM pg_notify('news', 'from a block'); END $$",
    "NOTIFY news, U&'\\0041'",
]


@pytest.mark.parametrize("text", PAYLOADS)
def test_the_payload_is_what_the_server_would_tell(sandbox: Sandbox, text: str) -> None:
    """However it is written."""
    found = []
    for one, other in ((sandbox.client(), sandbox.client()), (sandbox.direct(), sandbox.direct())):
        other.run("LISTEN news")
        heard = one.run(text)
        found.append((errors(heard), _heard_by(other)))

    assert found[0] == found[1]


QUEUE = """CREATE TABLE jobs (id int);
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_notify('news', NEW.id::text); RETURN NEW; END $$;
    CREATE TRIGGER tells AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION tell();
    CREATE FUNCTION put(job int) RETURNS int LANGUAGE sql AS 'INSERT INTO jobs VALUES (job)
    RETURNING id';
    CREATE FUNCTION put_two(job int) RETURNS int LANGUAGE plpgsql AS $$
    BEGIN PERFORM put(job); RETURN put(job + 1); END $$"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("INSERT INTO jobs VALUES (1)", ["1"]),
        ("SELECT put(1)", ["1"]),
        ("SELECT put_two(1)", ["1", "2"]),
        ("SELECT * FROM put(1) WHERE EXISTS (SELECT FROM items) OR true", ["1"]),
        ("EXECUTE puts", ["7"]),
    ],
)
@pytest.mark.parametrize("sent", [query, extended])
def test_what_a_function_writes_notifies_by_a_trigger(
    sandbox: Sandbox, text: str, told: list[str], sent: Callable[[str], bytes]
) -> None:
    """A job queue in the database: a function adds the jobs, and a trigger tells the workers."""
    one, other = sandbox.client(), sandbox.client()
    one.run(QUEUE)
    one.run("PREPARE puts AS SELECT put(7)")
    other.run("LISTEN news")
    assert errors(one.ask(sent(text))) == []

    assert _heard_by(other) == [("news", each) for each in told]


@pytest.mark.parametrize(
    "text",
    [
        "NOTIFY",
        "NOTIFY a b",
        "NOTIFY a, 5",
        "NOTIFY a, 'b', 'c'",
        "LISTEN a b",
        "NOTIFY a, 'not closed",
        f"NOTIFY a, '{'x' * 8000}'",
        "SELECT pg_notify('', 'a')",
    ],
)
def test_what_is_no_notification_is_the_servers_error(sandbox: Sandbox, text: str) -> None:
    """The endpoint does not take more than the server does."""
    assert errors(sandbox.client().run(text)) == errors(sandbox.direct().run(text))


def test_drivers_notify_each_other(sandbox: Sandbox) -> None:
    """asyncpg, psycopg and psycopg2, in one test."""

    async def run() -> list[tuple[str, object]]:
        heard: list[tuple[str, object]] = []
        told = asyncio.Event()
        listener = await asyncpg.connect(
            host=str(sandbox.process.folder), port=5432, user="postgres", database=sandbox.database
        )

        def hear(_: object, pid: int, channel: str, payload: object) -> None:
            heard.append((channel, payload))
            if len(heard) == 2:
                told.set()

        await listener.add_listener("news", hear)
        with psycopg.connect(**sandbox.dsn) as one:
            one.execute("SELECT pg_notify('news', %s)", ["of psycopg"])
        other = psycopg2.connect(**sandbox.dsn)
        other.cursor().execute("NOTIFY news, 'of psycopg2'")
        other.commit()
        other.close()
        await asyncio.wait_for(told.wait(), 10)
        await listener.close()
        return heard

    assert asyncio.run(run()) == [("news", "of psycopg"), ("news", "of psycopg2")]


def test_psycopg_hears_of_asyncpg(sandbox: Sandbox) -> None:
    """A thread that waits in notifies() gets what another connection commits."""

    async def notify() -> None:
        connection = await asyncpg.connect(
            host=str(sandbox.process.folder), port=5432, user="postgres", database=sandbox.database
        )
        await connection.execute("SELECT pg_notify($1, $2)", "news", "of asyncpg")
        await connection.close()

    with psycopg.connect(**sandbox.dsn, autocommit=True) as listener:
        listener.execute("LISTEN news")
        asyncio.run(notify())
        found = [each.payload for each in listener.notifies(timeout=10, stop_after=1)]

    assert found == ["of asyncpg"]


# -- notices -----------------------------------------------------------------------------------


def test_a_notice_is_told_to_its_client_alone(sandbox: Sandbox) -> None:
    """In its place among the other messages."""
    one, other = sandbox.client(), sandbox.client()
    heard = one.run("SELECT warn('one')")
    said = other.ask(extended("SELECT warn($1)", "other"))

    assert [each.fields["M"] for each in heard if each.kind == "N"] == ["one"]
    assert [each.fields["M"] for each in said if each.kind == "N"] == ["other"]
    assert one.is_silent()


def test_a_parameter_status_is_told_to_its_client_alone(sandbox: Sandbox) -> None:
    """Others keep the one that they have."""
    one, other = sandbox.client(), sandbox.client()
    heard = one.run("SET TimeZone = 'Asia/Tokyo'")
    said = other.run("SELECT current_setting('TimeZone')")

    assert [each.body for each in heard if each.kind == "S"] == [b"TimeZone\0Asia/Tokyo\0"]
    assert [each.body for each in said if each.kind == "S"] == []
    assert rows(said) == [(other.parameters["TimeZone"],)]
    assert [each.body for each in one.run("SELECT 1") if each.kind == "S"] == []


# -- answers -----------------------------------------------------------------------------------


def test_a_result_comes_with_its_end(sandbox: Sandbox) -> None:
    """As the server sends it, whatever the endpoint asks for itself between the two."""
    client, other = sandbox.client(), sandbox.client()
    other.run("BEGIN; INSERT INTO items VALUES (1)")
    for _ in range(20):
        client.send(query("SELECT count(*) FROM numbers"))
        client.until("C")

        assert not client.is_silent()
        client.until("Z")
