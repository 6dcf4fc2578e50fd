"""COPY in both directions, in every format, with errors, and with another connection meanwhile."""

import datetime as dt
import io

from behaviour import on
from stage import ASYNC, SYNC

_NAMES = "SELECT id, name, amount FROM items ORDER BY id"


def _copy_in(stage, connection, driver, sql, data):
    with stage.noting(sql):
        if driver == "psycopg2":
            connection.cursor().copy_expert(sql, io.BytesIO(data))
        else:
            with connection.cursor().copy(sql) as copy:
                copy.write(data)
    stage.note(connection)


def _copy_out(stage, connection, driver, sql):
    out = io.BytesIO()
    with stage.noting(sql):
        if driver == "psycopg2":
            connection.cursor().copy_expert(sql, out)
        else:
            with connection.cursor().copy(sql) as copy:
                for part in copy:
                    out.write(part)
    stage.say("copied out", out.getvalue())
    stage.note(connection)


@on(*SYNC)
def text_in_and_out(stage, driver):
    """Tabs, backslashes, NULLs."""
    one, two = stage.open(driver), stage.open(driver)
    _copy_in(
        stage,
        one,
        driver,
        "COPY items (id, name, amount) FROM STDIN",
        b"1\ta\\tb\t3\n2\t\\\\x\t4\n",
    )
    stage.run(one, _NAMES)
    one.commit()
    stage.run(two, _NAMES)
    _copy_out(stage, two, driver, "COPY (SELECT id, name, NULL FROM items ORDER BY id) TO STDOUT")


@on(*SYNC)
def csv(stage, driver):
    """With header, quotes and an own NULL."""
    one = stage.open(driver)
    data = b'id,name,amount\n1,"a,""b""",3\n2,"line\nbreak",0\n'
    _copy_in(stage, one, driver, "COPY items FROM STDIN (FORMAT csv, HEADER)", data)
    _copy_out(
        stage,
        one,
        driver,
        "COPY items TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE (name), DELIMITER ';')",
    )
    one.rollback()
    stage.run(one, _NAMES)


@on(*SYNC)
def binary(stage, driver):
    """Out of one, into the other."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, "CREATE TABLE t AS SELECT n AS a, n::text AS b FROM generate_series(1, 3) n")
    one.commit()
    out = io.BytesIO()
    if driver == "psycopg2":
        one.cursor().copy_expert("COPY t TO STDOUT (FORMAT binary)", out)
        out.seek(0)
        two.cursor().copy_expert("COPY t FROM STDIN (FORMAT binary)", out)
    else:
        with (
            one.cursor().copy("COPY t TO STDOUT (FORMAT binary)") as source,
            two.cursor().copy("COPY t FROM STDIN (FORMAT binary)") as target,
        ):
            for part in source:
                target.write(part)
    one.commit()
    two.commit()
    stage.run(one, "SELECT * FROM t ORDER BY a")


@on(*SYNC)
def malformed(stage, driver):
    """The error names the line, and nothing of the copy stays."""
    one = stage.open(driver, autocommit=True)
    _copy_in(stage, one, driver, "COPY items (id, name) FROM STDIN", b"1\ta\nx\tb\n")
    _copy_in(stage, one, driver, "COPY items (id, name) FROM STDIN", b"1\ta\tb\n")
    _copy_in(stage, one, driver, "COPY items (id, name) FROM STDIN", b"1\ta\n1\tb\n")
    _copy_in(stage, one, driver, "COPY nowhere FROM STDIN", b"1\n")
    _copy_in(stage, one, driver, "COPY items (id, name) FROM STDIN (FORMAT binary)", b"nonsense")
    _copy_in(stage, one, driver, "COPY items (id, name) FROM STDIN", b"")
    stage.run(one, _NAMES)


@on(*SYNC)
def in_a_transaction_that_fails(stage, driver):
    """A malformed copy fails the transaction, back to a savepoint it goes on."""
    one = stage.open(driver)
    _copy_in(stage, one, driver, "COPY items (id, name) FROM STDIN", b"1\tkept\n")
    stage.run(one, "SAVEPOINT s")
    _copy_in(stage, one, driver, "COPY items (id, name) FROM STDIN", b"1\tb\n")
    stage.run(one, _NAMES)
    stage.run(one, "ROLLBACK TO s")
    _copy_in(stage, one, driver, "COPY items (id, name) FROM STDIN", b"2\tc\n")
    one.commit()
    stage.run(one, _NAMES)


@on(*SYNC)
def out_fails_in_the_middle(stage, driver):
    """Rows, and then an error."""
    one = stage.open(driver, autocommit=True)
    with stage.noting("copy"):
        if driver == "psycopg2":
            one.cursor().copy_expert(
                "COPY (SELECT 6 / (3 - n) FROM generate_series(1, 5) n) TO STDOUT", io.BytesIO()
            )
        else:
            with one.cursor().copy(
                "COPY (SELECT 6 / (3 - n) FROM generate_series(1, 5) n) TO STDOUT"
            ) as copy:
                for row in copy.rows():
                    stage.say("row", row)
    stage.note(one)
    stage.run(one, "SELECT 1")


@on("psycopg2")
def a_file_that_uses_another_connection(stage, driver):
    """The source of a copy reads from the database itself."""
    one, two = stage.open(driver), stage.open(driver)

    class Source:
        """Five lines, each asked of the second connection."""

        number = 0

        def read(self, size):
            """Return the next line."""
            self.number += 1
            if self.number > 5:
                return ""
            stage.run(two, "SELECT %s::int * 10", (self.number,))
            return f"{self.number}\tname {self.number}\n"

    one.cursor().copy_expert("COPY items (id, name) FROM STDIN", Source())
    one.commit()
    stage.run(two, _NAMES)


@on("psycopg2")
def a_file_that_raises(stage, driver):
    """The copy is given up."""
    one = stage.open(driver)

    class Source:
        """One line, then an error."""

        has_read = False

        def read(self, size):
            """Return a line or raise."""
            if self.has_read:
                raise OSError("the disk is gone")
            self.has_read = True
            return "1\ta\n"

    with stage.noting("copy"):
        one.cursor().copy_expert("COPY items (id, name) FROM STDIN", Source())
    stage.note(one)
    one.rollback()
    stage.run(one, _NAMES)


@on("psycopg2")
def copy_from_and_copy_to(stage, driver):
    """The older methods of psycopg2."""
    one = stage.open(driver)
    cursor = one.cursor()
    cursor.copy_from(io.StringIO("1|a\n2|b\n"), "items", sep="|", columns=("id", "name"))
    stage.say("rowcount", cursor.rowcount, cursor.statusmessage)
    out = io.StringIO()
    cursor.copy_to(out, "items", sep=";", null="-", columns=("id", "name"))
    stage.say("out", out.getvalue())
    one.rollback()


@on("psycopg2")
def through_execute(stage, driver):
    """psycopg2 refuses COPY by execute()."""
    one = stage.open(driver)
    stage.run(one, "COPY items TO STDOUT")
    one.rollback()
    stage.run(one, "COPY items FROM STDIN")
    one.rollback()
    stage.run(one, "SELECT 1")


@on("psycopg")
def rows_while_the_other_writes(stage, driver):
    """write_row between statements of another connection."""
    one, two = stage.open(driver), stage.open("psycopg2")
    with one.cursor().copy("COPY items (id, name) FROM STDIN") as copy:
        for number in range(1, 4):
            copy.write_row((number, f"copied {number}"))
            stage.run(two, "SELECT count(*) FROM parents")
            stage.run(two, "INSERT INTO parents VALUES (%s)", (number,))
            two.commit()
    stage.note(one)
    one.commit()
    stage.run(two, _NAMES)
    stage.run(two, "SELECT number FROM parents ORDER BY 1")


@on("psycopg")
def given_up_by_an_exception(stage, driver):
    """An exception in the block fails the copy on the server."""
    one = stage.open(driver)
    with stage.noting("copy"), one.cursor().copy("COPY items (id, name) FROM STDIN") as copy:
        copy.write_row((1, "a"))
        raise ValueError("of the application")
    stage.note(one)
    one.rollback()
    stage.run(one, _NAMES)


@on("psycopg")
def closed_in_the_middle(stage, driver):
    """A connection that goes away in a copy, out or in, leaves nothing behind."""
    one, two, three = (stage.open(driver) for _ in range(3))
    out = one.cursor().copy("COPY (SELECT generate_series(1, 200000)) TO STDOUT")
    stage.say("row", out.__enter__().read_row())
    one.close()
    into = two.cursor().copy("COPY items (id, name) FROM STDIN")
    into.__enter__().write_row((1, "a"))
    two.close()
    stage.run(three, "SET lock_timeout = '10s'")
    stage.run(three, "INSERT INTO items (id, name) VALUES (1, 'a')")
    stage.run(three, _NAMES)
    three.rollback()


@on("psycopg")
def of_every_type(stage, driver):
    """Rows of typed values, in text and in binary."""
    one = stage.open(driver)
    stage.run(one, "CREATE TABLE t (a int, b text, c date, d numeric, e bytea, f int[])")
    row = (1, "ü\t\\", dt.date(2026, 1, 2), None, b"\0\xff", [1, None])
    for form in ("text", "binary"):
        with one.cursor().copy(f"COPY t (a, b, c, d, e, f) FROM STDIN (FORMAT {form})") as copy:
            copy.set_types(["int4", "text", "date", "numeric", "bytea", "int4[]"])
            copy.write_row(row)
    stage.run(one, "SELECT * FROM t")
    one.rollback()


async def by_asyncpg(stage):
    """Records in, a query out, a table out."""
    one, two = await stage.open_async(), await stage.open_async()
    stage.say("in", await one.copy_records_to_table("items", records=[(1, "a", 0), (2, "b", 5)]))
    stage.say("in", await one.copy_to_table("items", source=io.BytesIO(b"3,c,1\n"), format="csv"))
    out = io.BytesIO()
    stage.say(
        "out",
        await two.copy_from_table(
            "items", output=out, columns=["id", "name"], format="csv", header=True
        ),
    )
    stage.say(
        "out",
        await two.copy_from_query("SELECT $1::int, name FROM items WHERE id = 2", 7, output=out),
    )
    stage.say("copied", out.getvalue())
    with stage.noting("duplicate"):
        await one.copy_records_to_table("items", records=[(4, "d", 0), (1, "a", 0)])
    await stage.fetch(two, _NAMES)


async def a_source_that_awaits_another_connection(stage):
    """An asynchronous generator as source, an asynchronous function as target."""
    one, two = await stage.open_async(), await stage.open_async()

    async def source():
        for number in range(1, 5):
            found = await two.fetchval("SELECT $1::int * 10", number)
            yield f"{number}\t{found}\n".encode()

    async def target(data):
        stage.say("got", data, await two.fetchval("SELECT count(*) FROM parents"))

    await one.copy_to_table("items", source=source(), columns=["id", "name"])
    with stage.noting("out"):
        await one.copy_from_query("SELECT id, name FROM items ORDER BY id", output=target)
    await stage.fetch(two, _NAMES)


async def a_source_that_raises(stage):
    """Nothing of it stays, and the connection goes on."""
    one = await stage.open_async()

    async def source():
        yield b"1\ta\n"
        raise ValueError("of the application")

    with stage.noting("copy"):
        await one.copy_to_table("items", source=source(), columns=["id", "name"])
    stage.note(one)
    await stage.fetch(one, _NAMES)


@on(*ASYNC)
async def a_hundred_thousand_rows(stage, driver):
    """In by one, out by the other."""
    one, two = await stage.open_async(driver), await stage.open_async(driver)
    await stage.run_async(one, "CREATE TABLE many (a int, b text)")
    if driver == "asyncpg":
        rows = ((number, "x" * 20) for number in range(100_000))
        stage.say("in", await one.copy_records_to_table("many", records=rows))
    else:
        async with one.cursor().copy("COPY many FROM STDIN") as copy:
            for number in range(100_000):
                await copy.write_row((number, "x" * 20))
        await one.commit()
    out = io.BytesIO()
    if driver == "asyncpg":
        stage.say("out", await two.copy_from_table("many", output=out))
    else:
        async with two.cursor().copy("COPY many TO STDOUT") as copy:
            async for part in copy:
                out.write(part)
    stage.say("bytes", len(out.getvalue()))
    await stage.fetch(two, "SELECT count(*), sum(a) FROM many")


@on(*SYNC)
def in_a_text_with_others(stage, driver):
    """COPY FROM STDIN between two statements; the drivers differ, the server does not."""
    one = stage.open(driver, autocommit=True)
    _copy_in(
        stage,
        one,
        driver,
        "INSERT INTO items (id, name) VALUES (1, 'first'); COPY items (id, name) FROM STDIN",
        b"2\ta\n",
    )
    stage.run(one, _NAMES)
    stage.run(one, "SELECT 1")


@on(*SYNC)
def with_triggers_and_deferred_constraints(stage, driver):
    """Copied rows break them at the commit."""
    one = stage.open(driver)
    _copy_in(stage, one, driver, "COPY parts (number, parent) FROM STDIN", b"1\t1\n2\t1\n")
    with stage.noting("commit"):
        one.commit()
    stage.note(one)
    stage.run(one, "SELECT number FROM parts")
    one.rollback()


@on(*SYNC)
def freeze(stage, driver):
    """COPY FREEZE needs a table made in the same transaction."""
    one = stage.open(driver)
    stage.run(one, "CREATE TABLE t (a int)")
    _copy_in(stage, one, driver, "COPY t FROM STDIN (FREEZE)", b"1\n")
    one.commit()
    _copy_in(stage, one, driver, "COPY t FROM STDIN (FREEZE)", b"1\n")
    one.rollback()
