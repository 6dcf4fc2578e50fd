"""Several statements in one text, taken apart as the server takes them apart.

Random texts are sent to the server and to the endpoint, and the answers compared; what the lexer
makes of each is compared with how many statements the server has completed.
"""

from __future__ import annotations

import random

import pytest

from pgsandbox.sandbox.endpoint import lexer
from tests.kit.integration.sandbox.endpoint.conftest import Sandbox
from tests.kit.integration.sandbox.endpoint.wire import (
    Message,
    Wire,
    copy_data,
    errors,
    kinds,
    message,
    query,
    rows,
    status,
    tags,
)

LITERALS = [
    "'plain'",
    "'a;b'",
    "'it''s;'",
    "''",
    "E'a\\';b'",
    "e'\\\\'",
    "E'a'';b'",
    "'back\\'",
    "$$a;b$$",
    "$$'$$",
    "$x$a;$$;$y$;b$x$",
    "$x$ $x $x$",
    "U&'\\0041;'",
    "B'01'::text",
    "X'1F'::text",
    "N'a;'",
    "'one;'\n'two;'",
    "'one;' -- between;\n  'two'",
    "E'one\\';'\n'two\\';'",
    "'é;\N{GRINNING FACE}'",
    "$é$;$é$",
    "$\N{GRINNING FACE}$;$\N{GRINNING FACE}$",
    "'/*'",
    "'--'",
    "1::text",
    "1.5::text",
    "(1-- minus;\n+1)::text",
    "(2*/* times; */3)::text",
    "(SELECT ';')",
    "(array['a;', 'b'])[1]",
    "(ROW(';', (1)))::text",
    "CASE WHEN true THEN 'a;' ELSE 'b' END",
]
NAMES = [
    "a",
    '"a;b"',
    '"a""b"',
    '"it\'s"',
    '"--"',
    '"/*"',
    '"$$"',
    "_x$1",
    "é",
    "a$b$c",
    'U&"d\\0061t"',
]
GAPS = [
    " ",
    "\n",
    "\t",
    " /* a; */ ",
    " /* a /* nested; */ 'b; */ ",
    " -- c;\n",
    " /*/ a; */ ",
    " /**/ ",
    " --\n",
    " /* ' */ ",
    " -- '\r",
    "\f",
]
SEPARATORS = [";", ";", ";", ";;", " ; ", ";\n", "; ;", "; -- d;\n", ";/* e; */", "/* ' */;", ";;;"]
OTHERS = [
    "VALUES (1), (2)",
    "SHOW work_mem",
    "SET LOCAL work_mem = '5MB'",
    "CREATE TEMP TABLE {} (b int)",
    "DO $$ BEGIN PERFORM 1; PERFORM 2; END; $$",
    "DO $x$ BEGIN EXECUTE $$SELECT 1; SELECT 2$$; END $x$ LANGUAGE plpgsql",
    "INSERT INTO items VALUES (1), (2) RETURNING id",
    "DELETE FROM items",
    "CREATE FUNCTION {}() RETURNS int LANGUAGE sql AS 'SELECT 1; SELECT 2;'",
    "CREATE FUNCTION {}() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END",
    (
        "CREATE OR REPLACE FUNCTION {}(x int DEFAULT 1) RETURNS int LANGUAGE sql BEGIN ATOMIC"
        " SELECT CASE WHEN true THEN 1 ELSE 2 END; SELECT (CASE x WHEN 1 THEN 2 END); END"
    ),
    "CREATE PROCEDURE {}() BEGIN ATOMIC INSERT INTO items VALUES (7); DELETE FROM items; END",
    "create function {}() returns int return 1",
    "CREATE RULE {} AS ON UPDATE TO items DO ALSO (SELECT 1; SELECT 2)",
    "EXPLAIN (COSTS off) SELECT 1",
    "TABLE items",
    "SELECT 1 AS begin, 2 AS end",
]
BROKEN = [
    "SELECT 'open;",
    'SELECT "open;',
    "SELECT $$open;",
    "SELECT /* open; */ /* again;",
    "SELECT (1; SELECT 2",
    "SELECT 1); SELECT 2",
    "SELECT E'open\\'; SELECT 2",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1;",
    "SELEC 1; SELECT 2",
    "SELECT 1 SELECT 2",
    "SELECT $1; SELECT 2",
    "SELECT 1; SELECT 1/0; SELECT 3",
    "SELECT 1; SELECT nothing; SELECT 3",
    "INSERT INTO items VALUES (1); INSERT INTO items VALUES (1); SELECT 3",
    "; ;SELECT nothing",
    "/* a; */ SELECT 1;/* b */SELECT nothing",
]


def _statement(chance: random.Random) -> str:
    gap = chance.choice(GAPS)
    name = chance.choice(NAMES)
    if chance.random() < 0.3:
        return chance.choice(OTHERS).format(name)
    values = ", ".join(chance.choice(LITERALS) for _ in range(chance.randint(1, 3)))
    return f"SELECT{gap}{values}{chance.choice(GAPS)}AS{gap}{name}"


def _text(chance: random.Random) -> str:
    parts = [chance.choice(["", "", ";", " ", "/* first; */", "-- first;\n"])]
    for _ in range(chance.randint(1, 5)):
        parts += [_statement(chance), chance.choice(SEPARATORS)]
    if chance.random() < 0.5:
        parts.pop()
    return "".join(parts)


def _said(heard: list[Message]) -> list[tuple[str, object]]:
    """What a client reads, but for what names the source file of the server."""
    found: list[tuple[str, object]] = []
    for each in heard:
        if each.kind in "EN":
            fields = each.fields
            found.append((each.kind, [fields.get(letter) for letter in "SCMDP"]))
        elif each.kind == "T":
            found.append((each.kind, each.body[:2]))
        else:
            found.append((each.kind, each.body))
    return found


@pytest.fixture
def pair(sandbox: Sandbox) -> tuple[Wire, Wire]:
    """A client of the endpoint, and one of the server, in a transaction that is rolled back."""
    real = sandbox.direct()
    real.run("TRUNCATE items")  # what another test has committed there
    return sandbox.client(), real


@pytest.mark.parametrize("block", range(10))
def test_random_texts_are_answered_as_by_the_server(pair: tuple[Wire, Wire], block: int) -> None:
    """Every message but the descriptions' table ids, and where an error stands in the text."""
    client, real = pair
    completed = 0
    for seed in range(block * 40, block * 40 + 40):
        text = _text(random.Random(seed))  # noqa: S311 - repeatable, not secret
        for each in pair:
            each.run("BEGIN")
        said, heard = real.run(text), client.run(text)
        for each in pair:
            each.run("ROLLBACK")
        assert _said(heard) == _said(said), text
        if not errors(said):
            completed += len(tags(said))
            assert len(lexer.statements(text)) == len(tags(said)), text

    assert completed > 40


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_wrong_with_a_text_the_server_says(pair: tuple[Wire, Wire], text: str) -> None:
    """With its position, and with what had been done before it, which is undone."""
    client, real = pair
    heard, said = client.run(text), real.run(text)

    assert errors(heard) == errors(said) != []
    assert _said(heard) == _said(said)
    assert client.rows("SELECT * FROM items") == []


CONTROL = [
    "BEGIN; INSERT INTO items VALUES (1); COMMIT",
    "INSERT INTO items VALUES (1); COMMIT; INSERT INTO items VALUES (2); SELECT 1/0",
    "INSERT INTO items VALUES (1); ROLLBACK; INSERT INTO items VALUES (2)",
    "INSERT INTO items VALUES (1); BEGIN; INSERT INTO items VALUES (2); ROLLBACK",
    "BEGIN; INSERT INTO items VALUES (1); SAVEPOINT s; SELECT 1/0",
    "BEGIN; SELECT 1/0; SELECT 2; ROLLBACK",
    "BEGIN; INSERT INTO items VALUES (1); COMMIT AND CHAIN; INSERT INTO items VALUES (2); ROLLBACK",
    "SAVEPOINT s",
    "INSERT INTO items VALUES (1); SAVEPOINT s",
    "COMMIT; ROLLBACK; END; ABORT",
    "BEGIN; BEGIN; COMMIT; COMMIT",
    "BEGIN; SAVEPOINT a; INSERT INTO items VALUES (1); ROLLBACK TO a; RELEASE a; COMMIT",
    "BEGIN; RELEASE nothing; COMMIT",
    "BEGIN; SELECT 1/0; COMMIT; INSERT INTO items VALUES (3)",
    "SET work_mem = '7MB'; SELECT 1/0",
    "BEGIN; SET LOCAL work_mem = '7MB'; SHOW work_mem; COMMIT; SHOW work_mem",
    "SELECT 1; SET LOCAL work_mem = '7MB'; SHOW work_mem",
    "COMMIT AND CHAIN",
    "BEGIN READ ONLY; INSERT INTO items VALUES (1)",
    "START TRANSACTION; SELECT 1; END; SELECT 2",
    "DECLARE c CURSOR FOR SELECT 1",
    "SELECT 0; DECLARE c CURSOR FOR SELECT 1; FETCH c",
    "LOCK TABLE items",
    "SELECT 0; LOCK TABLE items",
    "BEGIN; CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; ABORT",
    "PREPARE p AS SELECT 1; EXECUTE p; DEALLOCATE p; EXECUTE p",
    "SELECT 1 /* ; COMMIT */; SELECT '; COMMIT'; SELECT $$; COMMIT$$ -- ; COMMIT",
]


@pytest.mark.parametrize("text", CONTROL)
def test_transaction_control_among_others(pair: tuple[Wire, Wire], text: str) -> None:
    """The answers are the server's, and so is what stays."""
    for each in pair:
        each.run("DELETE FROM items")
    found = []
    for each in pair:
        heard = each.run(text)
        found.append([_said(heard), status(heard)])
        each.run("ROLLBACK")
        found[-1] += [each.rows("TABLE items"), each.value("SHOW work_mem")]
        each.run("RESET ALL; DELETE FROM items")

    assert found[0] == found[1]


def test_an_empty_text(pair: tuple[Wire, Wire]) -> None:
    """Nothing but space, comments and semicolons."""
    for text in ("", " ", ";", ";;", "-- a", "/* a; */", "/* a */ ; -- b;"):
        assert kinds(pair[0].run(text)) == kinds(pair[1].run(text)) == "IZ"


def test_copies_among_others(pair: tuple[Wire, Wire]) -> None:
    """Two COPYs in one text, and a statement after each."""
    text = (
        "BEGIN; COPY items FROM STDIN; SELECT count(*) FROM items;"
        "COPY items (id) FROM STDIN; SELECT count(*) FROM items; COPY items TO STDOUT; ROLLBACK"
    )
    found = []
    for each in pair:
        each.send(query(text))
        heard = each.until("G")
        each.send(copy_data(b"1\ta\n2\tb\n") + message("c"))
        heard += each.until("G")
        each.send(copy_data(b"3\n") + message("c"))
        found.append(_said(heard + each.until("Z")))

    assert found[0] == found[1]
    assert rows(pair[0].run("TABLE items")) == []
