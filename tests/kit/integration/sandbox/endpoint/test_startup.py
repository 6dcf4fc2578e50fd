"""How clients are let in, or sent away: what the server itself would say to them."""

from __future__ import annotations

import struct

import pytest

from tests.kit.integration.sandbox.endpoint.conftest import Sandbox
from tests.kit.integration.sandbox.endpoint.wire import (
    GSS_REQUEST,
    SSL_REQUEST,
    SYNC,
    Closed,
    Wire,
    bind,
    cancel_request,
    describe,
    errors,
    execute,
    extended,
    kinds,
    message,
    parse,
    rows,
    startup,
    strings,
)


def _password(text: str) -> bytes:
    return message("p", strings(text))


def test_a_client_learns_what_the_server_would_tell_it(sandbox: Sandbox) -> None:
    """The parameters are the server's, and the key is one that cancels."""
    client, real = sandbox.client(), sandbox.direct()

    assert client.parameters == real.parameters
    assert client.pid
    assert client.key


@pytest.mark.parametrize("requests", [(SSL_REQUEST,), (GSS_REQUEST,), (GSS_REQUEST, SSL_REQUEST)])
def test_encryption_is_declined(sandbox: Sandbox, requests: tuple[bytes, ...]) -> None:
    """There is none on a socket of the machine's own; the client goes on without."""
    wire = sandbox.raw()
    for each in requests:
        wire.send(each)
        assert wire.byte() == b"N"

    assert wire.start(sandbox.parameters())[-1].kind == "Z"
    assert wire.value("SELECT 1") == "1"


def test_a_client_may_take_its_time(sandbox: Sandbox) -> None:
    """The start-up packet comes byte by byte, and others do not wait for it."""
    slow, other = sandbox.raw(), sandbox.client()
    packet = startup(sandbox.parameters())
    for position in range(len(packet) - 1):
        slow.send(packet[position : position + 1])
    assert other.value("SELECT 2") == "2"
    slow.send(packet[-1:])

    assert slow.welcome()[-1].kind == "Z"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"database": "elsewhere"}, "3D000"),
        ({"database": ""}, "3D000"),
        ({"no_such_parameter": "1"}, "42704"),
        ({"work_mem": "a lot"}, "22023"),
        ({"options": "-c work_mem=lots"}, "22023"),
        ({"options": "-c no_such_parameter=1"}, "42704"),
        ({"client_encoding": "morse"}, "22023"),
        ({"DateStyle": "never"}, "22023"),
    ],
)
def test_who_asks_for_the_impossible_is_sent_away(
    sandbox: Sandbox, asked: dict[str, str], code: str
) -> None:
    """With the server's own SQLSTATE, and nobody else notices."""
    wire, real = sandbox.raw(), sandbox.raw_direct()
    heard = wire.start(sandbox.parameters(**asked))
    said = real.start({"user": "postgres", "database": "postgres"} | asked)

    assert errors(heard) == [code]
    assert heard[-1].fields["S"] == "FATAL"
    assert wire.rest() == []
    assert [code] == (errors(said) if asked.get("database") != "" else [code])
    assert sandbox.client().value("SELECT 1") == "1"


@pytest.mark.parametrize("word", ["database", "true", "on", "1"])
def test_replication_is_refused(sandbox: Sandbox, word: str) -> None:
    """A walsender speaks another language."""
    assert errors(sandbox.raw().start(sandbox.parameters(replication=word))) == ["0A000"]


@pytest.mark.parametrize("word", ["false", "off", "no", "0"])
def test_no_replication_is_none(sandbox: Sandbox, word: str) -> None:
    """As libpq allows to say it."""
    assert sandbox.client(replication=word).value("SELECT 1") == "1"


@pytest.mark.parametrize("minor", [1, 2, 9])
@pytest.mark.parametrize("more", [{}, {"_pq_.one": "1", "_pq_.two": ""}])
def test_a_newer_protocol_is_negotiated(sandbox: Sandbox, minor: int, more: dict[str, str]) -> None:
    """The answer names the version as the server does, 3.0 of ours, and what nobody knows."""
    wire = sandbox.raw()
    heard = wire.start(sandbox.parameters(**more), 3 << 16 | minor)
    version, count = struct.unpack_from("!ii", heard[0].body)

    assert kinds(heard)[0] == "v"
    assert (version, count) == (3 << 16, len(more))
    assert heard[0].body[8:] == strings(*more)
    assert wire.value("SELECT 1") == "1"


def test_the_negotiation_is_the_servers(sandbox: Sandbox) -> None:
    """The first number is the whole version (libpq takes less than 3.0 for a fault)."""
    said = sandbox.raw_direct().start({"user": "postgres", "_pq_.one": "1"}, 3 << 16 | 9)
    heard = sandbox.raw().start(sandbox.parameters(**{"_pq_.one": "1"}), 3 << 16 | 9)
    (theirs, ours) = (struct.unpack_from("!i", each[0].body)[0] for each in (said, heard))

    assert (said[0].kind, heard[0].kind) == ("v", "v")
    assert (theirs >> 16, ours >> 16) == (3, 3)


@pytest.mark.parametrize("protocol", [2 << 16, 4 << 16, 0, -1, 1234 << 16 | 1])
def test_another_protocol_is_refused(sandbox: Sandbox, protocol: int) -> None:
    """As the server refuses it."""
    wire = sandbox.raw()

    assert errors(wire.start(sandbox.parameters(), protocol)) == ["0A000"]
    assert wire.rest() == []


@pytest.mark.parametrize("length", [-1, 0, 4, 7, 10_001, 0x7FFFFFFF])
def test_a_startup_packet_has_a_length(sandbox: Sandbox, length: int) -> None:
    """Anything else is no start-up packet."""
    wire = sandbox.raw()
    wire.send(struct.pack("!ii", length, 196608))

    assert errors(wire.rest()) == ["08P01"]


@pytest.mark.parametrize(
    "body", [b"user", b"user\0", b"user\0postgres\0database", b"\xff\0\xfe\0", b"a\0b\0" * 100]
)
def test_a_startup_packet_has_an_end(sandbox: Sandbox, body: bytes) -> None:
    """Strings without one, and names that are none, harm nobody."""
    wire = sandbox.raw()
    wire.send(struct.pack("!ii", len(body) + 8, 196608) + body)

    assert len(errors(wire.rest())) == 1
    assert sandbox.client().value("SELECT 1") == "1"


def test_what_options_set_belongs_to_their_client(sandbox: Sandbox) -> None:
    """Start-up parameters, too, and RESET goes back to them."""
    one = sandbox.client(options="-c work_mem=7MB -c search_path=a,\\ b", TimeZone="Asia/Tokyo")
    other = sandbox.client(application_name="other")
    one.run("SET work_mem = '9MB'")

    assert one.value("SHOW work_mem") == "9MB"
    assert other.value("SHOW work_mem") != "9MB"
    one.run("RESET work_mem")
    assert one.value("SHOW work_mem") == "7MB"
    assert one.value("SHOW search_path") == "a, b"
    assert one.value("SHOW timezone") == one.parameters["TimeZone"] == "Asia/Tokyo"
    assert other.value("SHOW application_name") == other.parameters["application_name"] == "other"


ASKS = [
    ("SELECT current_setting('application_name')",),
    ("SELECT current_setting( $1, true)", "application_name"),
    ("SELECT setting FROM pg_settings WHERE name = $1", "application_name"),
    ("SELECT setting FROM pg_settings WHERE name ~ 'cation_n'",),
    ("SELECT named()",),
    ("INSERT INTO audit VALUES (1) RETURNING name",),
]


@pytest.mark.parametrize("asked", ASKS, ids=lambda asked: str(asked[0]))
@pytest.mark.parametrize("begins", [True, False])
def test_a_client_finds_its_own_name(
    sandbox: Sandbox, asked: tuple[str, ...], begins: bool
) -> None:
    """Asked for by a function, by a parameter, and by a function or trigger of the database."""
    body = "begin return current_setting('application_name'); end"
    one, other = (sandbox.client(application_name=name) for name in ("one", "other"))
    one.run(f"CREATE FUNCTION named() RETURNS text LANGUAGE plpgsql AS $${body}$$")
    one.run("CREATE TABLE audit (number int, name text)")
    body = "begin new.name := named(); return new; end"
    one.run(f"CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
    one.run("CREATE TRIGGER fill BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION fill()")
    heard = []
    for client in (one, other, one):
        client.run("BEGIN" if begins else "SELECT 1")
        heard += rows(client.ask(extended(asked[0], *asked[1:])))
        client.run("COMMIT" if begins else "SELECT 1")

    assert heard == [("one",), ("other",), ("one",)]


@pytest.mark.parametrize("asked", [*ASKS[:4], ("SELECT query FROM pg_stat_activity",)])
def test_what_is_set_holds_when_a_client_is_told_its_name(
    sandbox: Sandbox, asked: tuple[str, ...]
) -> None:
    """For the transaction and for good; a rollback takes back that, and not the name."""
    client = sandbox.client(application_name="one")
    client.run("SET shop.region = 'north'")
    client.run("BEGIN")
    client.run("SET LOCAL shop.tenant = 'first'")
    client.run("SET shop.region = 'south'")
    client.ask(extended(asked[0], *asked[1:]))
    within = [client.value(f"SHOW shop.{each}") for each in ("tenant", "region")]
    client.run("ROLLBACK")
    after = [client.value(f"SHOW shop.{each}") for each in ("tenant", "region")]

    assert within == ["first", "south"]
    assert after == ["", "north"]
    assert client.value("SHOW application_name") == "one"


@pytest.mark.parametrize("name", ["current_setting('application_name')", "count(*)"])
def test_a_cursor_may_ask_for_the_name(sandbox: Sandbox, name: str) -> None:
    """What its statement was bound to is there when it is executed."""
    client = sandbox.client(application_name="one")
    client.run("BEGIN")
    client.ask(parse(f"DECLARE c CURSOR FOR SELECT {name} FROM pg_stat_activity") + SYNC)
    client.ask(bind() + describe("P") + execute() + SYNC)

    assert len(client.rows("FETCH ALL FROM c")) >= 1


CLOCKS = ["idle_in_transaction_session_timeout", "transaction_timeout", "idle_session_timeout"]


@pytest.mark.parametrize("name", CLOCKS)
def test_a_client_cannot_start_a_clock_under_the_test(sandbox: Sandbox, name: str) -> None:
    """What ends idle transactions would end the one that holds the test."""
    client = sandbox.client(options=f"-c {name}=1")
    client.run("INSERT INTO items VALUES (1)")
    sandbox.outside("SELECT pg_sleep(0.05)")

    assert sandbox.client().rows("SELECT id FROM items") == [("1",)]


@pytest.mark.parametrize("name", CLOCKS)
@pytest.mark.parametrize(
    "text", ["SET {} = 400", "SET SESSION {} TO '400ms'", "SELECT set_config('{}', '400', false)"]
)
def test_nor_later(sandbox: Sandbox, name: str, text: str) -> None:
    """By whatever statement."""
    client, other = sandbox.client(), sandbox.client()
    client.run("INSERT INTO items VALUES (1)")
    client.rows(text.format(name))
    sandbox.outside("SELECT pg_sleep(0.5)")

    assert other.rows("SELECT id FROM items") == [("1",)]


@pytest.mark.parametrize("name", CLOCKS)
def test_a_clock_is_shown_to_who_set_it(sandbox: Sandbox, name: str) -> None:
    """It stands still, and says what it was set to, in parameters and rollbacks, too."""
    client, other = sandbox.client(), sandbox.client()
    bound = parse("SELECT set_config($1, $2, false)") + bind("", "", name, "400")
    assert rows(client.ask(bound + execute() + SYNC)) == [("400ms",)]
    client.run(f"BEGIN; SET {name} = '2min'")
    assert client.value(f"SHOW {name}") == "2min"
    client.run("ROLLBACK")
    sandbox.outside("SELECT pg_sleep(0.5)")

    assert client.value(f"SHOW {name}") == "400ms"
    assert other.value(f"SHOW {name}") == "0"
    client.run(f"RESET {name}")
    assert client.value(f"SHOW {name}") == "0"


# -- TCP ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def port(running: list[Sandbox]) -> int:
    """Where the endpoint listens for those that know no Unix sockets."""
    found: int = running[-1].process.call("listen_on_tcp", password="let me in")
    return found


def _over_tcp(sandbox: Sandbox, port: int, password: bytes) -> Wire:
    wire = sandbox.stack.enter_context(Wire(("127.0.0.1", port)))
    wire.send(startup(sandbox.parameters()))
    asked = wire.next()
    assert (asked.kind, asked.body) == ("R", struct.pack("!i", 3))
    wire.send(password)
    return wire


def test_the_password_opens(sandbox: Sandbox, port: int) -> None:
    """Whoever knows it is in the test."""
    sandbox.client().run("INSERT INTO items VALUES (1)")
    wire = _over_tcp(sandbox, port, _password("let me in"))

    assert wire.welcome()[-1].kind == "Z"
    assert wire.value("SELECT id FROM items") == "1"


@pytest.mark.parametrize(
    "said",
    [
        _password(""),
        _password("let me"),
        _password("let me in "),
        message("p", b"let me in"),
        message("p"),
        message("Q", strings("let me in")),
        message("X"),
        _password("\N{LATIN SMALL LETTER E WITH ACUTE}"),
    ],
)
def test_anything_else_does_not(sandbox: Sandbox, port: int, said: bytes) -> None:
    """It is sent away without a word about why."""
    wire = _over_tcp(sandbox, port, said)
    found = errors(wire.rest())

    assert found in (["28P01"], ["08P01"])


def test_nobody_asks_before_the_password(sandbox: Sandbox, port: int) -> None:
    """A query that is sent in its place is none."""
    wire = sandbox.stack.enter_context(Wire(("127.0.0.1", port)))
    wire.send(startup(sandbox.parameters()) + message("Q", strings("INSERT INTO items VALUES (1)")))
    wire.rest()

    assert sandbox.client().rows("SELECT * FROM items") == []


# -- keys --------------------------------------------------------------------------------------


def test_a_wrong_key_cancels_nobody(sandbox: Sandbox) -> None:
    """The connection is closed without a word, as the server does it."""
    client = sandbox.client()
    for pid, key in [(client.pid, client.key + 1), (client.pid + 1, client.key), (0, 0), (-1, -1)]:
        wire = sandbox.raw()
        wire.send(cancel_request(pid, key))
        with pytest.raises(Closed):
            wire.next()

    assert client.value("SELECT 1") == "1"


def test_a_cancel_request_of_another_length_is_none(sandbox: Sandbox) -> None:
    """Longer keys belong to a protocol that was not agreed upon."""
    wire = sandbox.raw()
    wire.send(struct.pack("!iiii", 20, 80877102, 1, 2) + b"abcd")
    with pytest.raises(Closed):
        wire.next()

    assert sandbox.client().value("SELECT 1") == "1"
