"""Several statements in one text, with transaction control among them."""

from behaviour import on
from stage import ASYNC, SYNC

_A = "INSERT INTO items (name) VALUES ('a')"
_B = "INSERT INTO items (name) VALUES ('b')"
_C = "INSERT INTO items (name) VALUES ('c')"
_NAMES = "SELECT name FROM items ORDER BY name"


def _in_autocommit(stage, driver, *texts):
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    for text in texts:
        stage.run(one, text)
        stage.run(two, _NAMES)


@on(*SYNC)
def one_implicit_transaction(stage, driver):
    """An error in the last statement undoes the first."""
    _in_autocommit(stage, driver, f"{_A}; {_B}; SELECT 1/0", f"{_A}; {_B}", f"{_C}; {_A}")


@on(*SYNC)
def a_commit_in_the_middle(stage, driver):
    """What came before stays, what comes after is another implicit transaction."""
    _in_autocommit(
        stage,
        driver,
        f"{_A}; COMMIT; {_B}; SELECT 1/0",
        f"BEGIN; {_B}; COMMIT; {_C}; SELECT 1/0",
        "SELECT 1",
    )


@on(*SYNC)
def a_rollback_in_the_middle(stage, driver):
    """What came before is undone, with a warning where no BEGIN was."""
    _in_autocommit(stage, driver, f"{_A}; ROLLBACK; {_B}", f"BEGIN; {_C}; ROLLBACK; {_A}")


@on(*SYNC)
def a_begin_in_the_middle(stage, driver):
    """The implicit transaction becomes an explicit one."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    stage.run(one, f"{_A}; BEGIN; {_B}")
    stage.run(one, _C)
    stage.run(one, "ROLLBACK")
    stage.run(two, _NAMES)


@on(*SYNC)
def begin_at_the_end(stage, driver):
    """The text ends in an open transaction."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    stage.run(one, f"{_A}; COMMIT; BEGIN")
    stage.run(one, _B)
    stage.run(one, "ROLLBACK; BEGIN; SELECT 1")
    stage.run(one, f"{_C}; COMMIT; SELECT 2")
    stage.run(two, _NAMES)


@on(*SYNC)
def savepoints_in_a_text(stage, driver):
    """In an explicit transaction, and refused in an implicit one."""
    _in_autocommit(
        stage,
        driver,
        f"BEGIN; {_A}; SAVEPOINT s; {_B}; ROLLBACK TO s; {_C}; RELEASE s; COMMIT",
        "SAVEPOINT s; SELECT 1",
        "SELECT 1; ROLLBACK TO s",
        "SELECT 1; RELEASE s",
        "SELECT 1",
    )


@on(*SYNC)
def an_error_inside_of_begin(stage, driver):
    """The text ends there, in a failed transaction."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    stage.run(one, f"BEGIN; {_A}; SELECT 1/0; COMMIT; {_B}")
    stage.run(one, "SELECT 1; COMMIT")
    stage.run(one, f"COMMIT; {_B}")
    stage.run(two, _NAMES)


@on(*SYNC)
def an_error_after_commit(stage, driver):
    """The commit stands."""
    _in_autocommit(stage, driver, f"BEGIN; {_A}; COMMIT; SELECT 1/0; {_B}", "SELECT 1")


@on(*SYNC)
def a_syntax_error_anywhere(stage, driver):
    """Not one statement of the text has run, and the position counts from its beginning."""
    _in_autocommit(
        stage, driver, f"{_A}; COMMIT; SELEC 1", f"BEGIN; {_A}; COMMIT; SELECT 'open", "SELECT 1"
    )


@on(*SYNC)
def an_error_with_a_position(stage, driver):
    """Counted in the whole text, also after transaction control and wide characters."""
    _in_autocommit(
        stage,
        driver,
        "SELECT 1; SELECT nothing",
        "BEGIN; SELECT 'grün', '€'; SELECT nothing",
        "ROLLBACK",
        "COMMIT; BEGIN; COMMIT;\n\n  SELECT * FROM nowhere",
        "SELECT 1;\tSELECT frm items",
    )


@on(*SYNC)
def words_in_strings(stage, driver):
    """COMMIT in strings, comments, identifiers and dollar quotes is no COMMIT."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    for sql in (
        "BEGIN",
        "SELECT 'a; COMMIT; b'",
        "SELECT $$; COMMIT; $$, $x$; ROLLBACK; $$ $x$",
        "SELECT 1 /* ; COMMIT; /* nested; */ ROLLBACK; */ + 1",
        "SELECT 1 -- ; COMMIT;\n + 1",
        'SELECT 1 AS "; COMMIT; "',
        "SELECT E'it\\'s; COMMIT; '",
        "SELECT U&'\\0041; COMMIT', B'1', X'F', N'; COMMIT'",
        "SELECT 'it''s'';COMMIT;'",
        "SELECT 1 AS commit, 2 AS rollback, 3 AS begin",
        "SELECT 'continued'\n '; COMMIT;'",
        _A,
    ):
        stage.run(one, sql)
    stage.run(two, "SELECT 1")
    stage.run(one, "ROLLBACK")
    stage.run(two, _NAMES)


@on(*SYNC)
def bodies_with_semicolons(stage, driver):
    """Functions in dollar quotes and by BEGIN ATOMIC, and rules with several actions."""
    one = stage.open(driver, autocommit=True)
    for sql in (
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END; $$;"
            " SELECT f()"
        ),
        (
            "CREATE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2"
            " END; END; SELECT g()"
        ),
        "CREATE PROCEDURE p() BEGIN ATOMIC INSERT INTO items (name) VALUES ('by p'); END; CALL p()",
        (
            "CREATE TABLE log (n text); CREATE RULE r AS ON INSERT TO log DO ALSO (SELECT 1;"
            " SELECT 2); SELECT 3"
        ),
        "DO $do$ BEGIN PERFORM 1; END $do$; SELECT 4",
        _NAMES,
    ):
        stage.run(one, sql)


@on(*SYNC)
def empty_statements(stage, driver):
    """Nothing, blanks, semicolons and comments."""
    one = stage.open(driver, autocommit=True)
    for sql in (
        ";",
        ";;SELECT 1;;",
        " ; ; ",
        "-- nothing",
        "/* nothing */",
        "SELECT 1;",
        "BEGIN;;COMMIT;;",
    ):
        stage.run(one, sql)


@on("psycopg")
def nothing_at_all(stage, driver):
    """The empty text."""
    one = stage.open(driver, autocommit=True)
    stage.run(one, "")
    stage.run(one, "SELECT 1")


@on(*SYNC)
def many_results(stage, driver):
    """One answer for each statement."""
    one = stage.open(driver, autocommit=True)
    stage.run(
        one,
        f"SELECT 1; {_A} RETURNING name; UPDATE items SET amount = 1; SELECT count(*) FROM"
        " items; DELETE FROM items",
    )
    stage.run(
        one,
        "CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1), (2); SELECT a FROM t; DROP TABLE t",
    )


@on(*SYNC)
def settings_in_a_text(stage, driver):
    """SET LOCAL holds to the end of the implicit transaction."""
    _in_autocommit(
        stage,
        driver,
        "SET LOCAL work_mem = '5MB'; SHOW work_mem",
        "SHOW work_mem",
        "SET work_mem = '6MB'; SELECT 1/0",
        "SHOW work_mem",
        "SET work_mem = '7MB'; COMMIT; SELECT 1/0",
        "SHOW work_mem",
    )


@on(*SYNC)
def chains_in_a_text(stage, driver):
    """COMMIT AND CHAIN in the middle."""
    _in_autocommit(
        stage,
        driver,
        f"BEGIN; {_A}; COMMIT AND CHAIN; {_B}; ROLLBACK AND CHAIN; {_C}; COMMIT",
        "COMMIT AND CHAIN; SELECT 1",
    )


@on(*SYNC)
def in_the_drivers_transaction(stage, driver):
    """The driver's BEGIN comes first, and the text's COMMIT ends it."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, f"{_A}; COMMIT; {_B}")
    stage.note(one)
    one.rollback()
    stage.run(two, _NAMES)


@on(*SYNC)
def what_no_block_may_contain(stage, driver):
    """VACUUM and its like in a text with others, or in a transaction."""
    _in_autocommit(
        stage, driver, "SELECT 1; VACUUM items", "BEGIN; VACUUM items; COMMIT", "ROLLBACK"
    )


@on(*SYNC)
def deferred_constraints_of_a_text(stage, driver):
    """They are checked at the end of the implicit transaction."""
    _in_autocommit(
        stage,
        driver,
        f"{_A}; INSERT INTO parts (number, parent) VALUES (1, 1); SELECT 1",
        "INSERT INTO parts (number, parent) VALUES (1, 1); INSERT INTO parents VALUES (1)",
        f"INSERT INTO parts (number, parent) VALUES (2, 2); COMMIT; {_B}",
    )


@on(*SYNC)
def percent_signs(stage, driver):
    """Without parameters they are themselves, with parameters placeholders."""
    one = stage.open(driver, autocommit=True)
    stage.run(one, "SELECT 'a%' LIKE 'a%'; SELECT 5 % 3")
    stage.run(one, "SELECT 5 %% %s::int", (3,))


@on(*SYNC)
def parameters_with_several_statements(stage, driver):
    """psycopg2 binds on the client, psycopg's protocol takes one statement."""
    one = stage.open(driver, autocommit=True)
    stage.run(one, "SELECT %s::int; SELECT %s::int", (1, 2))
    stage.run(one, "BEGIN; SELECT %s::int; COMMIT", (1,))
    stage.run(one, "SELECT 1")


@on(*ASYNC)
async def scripts(stage, driver):
    """A script by execute() without arguments."""
    one, two = await stage.open_async(driver), await stage.open_async(driver)
    if driver == "psycopg":
        await one.set_autocommit(True)
        await two.set_autocommit(True)
    for text in (
        f"{_A}; {_B}; SELECT 1/0",
        f"BEGIN; {_A}; COMMIT; {_B}",
        f"BEGIN; {_C}; SELECT 1/0",
        "SELECT 1",
        "ROLLBACK; SELECT 2",
        "SELECT 1; SELEC 2",
    ):
        await stage.run_async(one, text)
        await stage.fetch(two, _NAMES)


async def several_statements_by_the_extended_protocol(stage):
    """The server takes one at a time."""
    one = await stage.open_async()
    await stage.fetch(one, "SELECT 1; SELECT 2")
    await stage.fetch(one, "BEGIN; COMMIT")
    await stage.fetch(one, "SELECT 1;")
    await stage.fetch(one, "")
    await stage.fetch(one, "-- nothing")


async def transaction_control_by_the_extended_protocol(stage):
    """BEGIN and COMMIT as prepared statements."""
    one, two = await stage.open_async(), await stage.open_async()
    for _ in range(2):
        for sql in (
            "BEGIN",
            f"{_A} ON CONFLICT DO NOTHING RETURNING name",
            "SAVEPOINT s",
            "SELECT 1/0",
            "ROLLBACK TO s",
            "COMMIT",
        ):
            await stage.fetch(one, sql)
        await stage.fetch(two, _NAMES)
    begin, commit = await one.prepare("BEGIN"), await one.prepare("COMMIT")
    await begin.fetch()
    await stage.fetch(one, "DELETE FROM items")
    await commit.fetch()
    await stage.fetch(two, _NAMES)


@on(*SYNC)
def a_long_text(stage, driver):
    """Two thousand statements, with a commit each hundred."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    statements = ["BEGIN"]
    for number in range(2000):
        statements.append(f"INSERT INTO items (name) VALUES ('{number}')")
        if number % 100 == 99:
            statements += ["COMMIT", "BEGIN"]
    cursor = one.cursor()
    with stage.noting("text"):
        cursor.execute("; ".join([*statements, "SELECT 1/0"]))
    stage.note(one)
    stage.run(two, "SELECT count(*) FROM items")
    stage.run(one, "ROLLBACK")


@on(*SYNC)
def procedures_that_commit(stage, driver):
    """CALL of a procedure with COMMIT and ROLLBACK inside."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    stage.run(
        one,
        "CREATE PROCEDURE batches() LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1..4 LOOP"
        " INSERT INTO items (name) VALUES (i::text);"
        " IF i % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF; END LOOP; END $$",
    )
    stage.run(one, "CALL batches()")
    stage.run(two, _NAMES)
    stage.run(one, "BEGIN; CALL batches()")
    stage.run(one, "ROLLBACK")


@on(*SYNC)
def blocks_with_exceptions(stage, driver):
    """A DO block whose handler goes back to its own savepoint."""
    one = stage.open(driver, autocommit=True)
    stage.run(
        one,
        "DO $$ BEGIN INSERT INTO items (name) VALUES ('a');"
        " BEGIN INSERT INTO items (name) VALUES ('b'); RAISE unique_violation;"
        " EXCEPTION WHEN unique_violation THEN RAISE NOTICE 'caught %', SQLSTATE; END; END $$",
    )
    stage.run(one, _NAMES)
