"""Temporary tables: one connection's own, gone as declared."""

from behaviour import on
from stage import ASYNC, SYNC


def _play(stage, connection, *statements):
    for sql in statements:
        stage.run(connection, sql)


@on(*SYNC)
def same_name_on_two_connections(stage, driver):
    """Two tables."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    for connection, value in ((one, 1), (two, 2)):
        _play(
            stage,
            connection,
            "CREATE TEMP TABLE scratch (a int)",
            f"INSERT INTO scratch VALUES ({value})",
        )
    for connection in (one, two):
        _play(stage, connection, "SELECT a FROM scratch", "SELECT a FROM pg_temp.scratch")
    _play(stage, one, "DROP TABLE scratch", "SELECT a FROM scratch")
    stage.run(two, "SELECT a FROM scratch")


@on(*SYNC)
def unseen_by_the_other(stage, driver):
    """The other connection has no such table."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    _play(stage, one, "CREATE TEMP TABLE scratch AS SELECT 1 AS a")
    _play(
        stage,
        two,
        "SELECT a FROM scratch",
        "CREATE TABLE scratch (b text)",
        "INSERT INTO scratch VALUES ('real')",
    )
    _play(stage, one, "SELECT * FROM scratch", "SELECT * FROM public.scratch")


@on(*SYNC)
def on_commit_drop(stage, driver):
    """Gone at the commit, and never there after a rollback."""
    one = stage.open(driver, autocommit=True)
    make = "CREATE TEMP TABLE scratch (a int) ON COMMIT DROP"
    _play(
        stage,
        one,
        "BEGIN",
        make,
        "INSERT INTO scratch VALUES (1)",
        "SELECT a FROM scratch",
        "COMMIT",
        "SELECT a FROM scratch",
        "BEGIN",
        make,
        "ROLLBACK",
        "SELECT a FROM scratch",
        make,
        "SELECT a FROM scratch",
        "BEGIN",
        make,
        "SAVEPOINT s",
        "DROP TABLE scratch",
        "ROLLBACK TO s",
        "INSERT INTO scratch VALUES (2)",
        "COMMIT",
        "SELECT a FROM scratch",
    )


@on(*SYNC)
def on_commit_delete_rows(stage, driver):
    """Empty after each commit."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "CREATE TEMP TABLE scratch (a int) ON COMMIT DELETE ROWS",
        "INSERT INTO scratch VALUES (1)",
        "SELECT a FROM scratch",
        "BEGIN",
        "INSERT INTO scratch VALUES (2)",
        "SELECT a FROM scratch",
        "COMMIT",
        "SELECT a FROM scratch",
    )


@on(*SYNC)
def on_commit_of_what_was_rolled_back(stage, driver):
    """It is not there when the next transaction ends, nor when the connection does."""
    one = stage.open(driver, autocommit=True)
    for action in ("DROP", "DELETE ROWS"):
        make = f"CREATE TEMP TABLE scratch (a int) ON COMMIT {action}"
        _play(stage, one, "BEGIN", make, "ROLLBACK", "SELECT 1", "NOTIFY heard", "BEGIN", "COMMIT")
        _play(stage, one, "BEGIN", "SAVEPOINT s", make, "ROLLBACK TO s", "COMMIT", "SELECT 2")
    function = "CREATE FUNCTION pg_temp.three() RETURNS int LANGUAGE sql RETURN 3"
    _play(stage, one, "BEGIN", function, "SELECT pg_temp.three()", "ROLLBACK")
    one.close()
    two = stage.open(driver, autocommit=True)
    _play(stage, two, "SELECT 4", "BEGIN", "COMMIT")


@on(*SYNC)
def on_commit_of_another(stage, driver):
    """The other connection's commit empties nothing."""
    one, two = stage.open(driver), stage.open(driver)
    _play(
        stage,
        one,
        "CREATE TEMP TABLE scratch (a int) ON COMMIT DROP",
        "INSERT INTO scratch VALUES (1)",
    )
    stage.run(two, "INSERT INTO items (name) VALUES ('a')")
    two.commit()
    stage.run(one, "SELECT a FROM scratch")
    one.commit()
    stage.run(one, "SELECT a FROM scratch")


@on(*SYNC)
def preserved_rows(stage, driver):
    """ON COMMIT PRESERVE ROWS is the default."""
    one = stage.open(driver)
    _play(stage, one, "CREATE TEMP TABLE scratch (a int)", "INSERT INTO scratch VALUES (1)")
    one.commit()
    stage.run(one, "INSERT INTO scratch VALUES (2)")
    one.rollback()
    stage.run(one, "SELECT a FROM scratch")


@on(*SYNC)
def shadows_a_real_table(stage, driver):
    """items means the temporary table on one connection only."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    _play(
        stage, one, "CREATE TEMP TABLE items (name text)", "INSERT INTO items VALUES ('temporary')"
    )
    _play(stage, two, "INSERT INTO items (name) VALUES ('real')", "SELECT name FROM items")
    _play(
        stage,
        one,
        "SELECT name FROM items",
        "SELECT name FROM public.items",
        "DROP TABLE items",
        "SELECT name FROM items",
    )


@on(*SYNC)
def gone_with_its_connection(stage, driver):
    """The next connection starts without it."""
    one = stage.open(driver, autocommit=True)
    stage.run(one, "CREATE TEMP TABLE scratch (a int)")
    one.close()
    two = stage.open(driver, autocommit=True)
    _play(
        stage,
        two,
        "SELECT a FROM scratch",
        "CREATE TEMP TABLE scratch (b text)",
        "SELECT * FROM scratch",
    )


@on(*SYNC)
def views_and_sequences(stage, driver):
    """They are temporary, too."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    for connection in (one, two):
        _play(
            stage,
            connection,
            "CREATE TEMP VIEW seen AS SELECT 1 AS a",
            "CREATE TEMP SEQUENCE counted",
            "SELECT nextval('counted')",
            "SELECT a FROM seen",
            "CREATE TEMP TABLE t (id serial, n text)",
            "INSERT INTO t (n) VALUES ('x') RETURNING id",
        )
    stage.run(one, "SELECT nextval('counted')")
    stage.run(two, "SELECT currval('counted')")


@on(*SYNC)
def functions_of_pg_temp(stage, driver):
    """A function in pg_temp has to be named with its schema."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    for connection, number in ((one, 1), (two, 2)):
        _play(
            stage,
            connection,
            f"CREATE FUNCTION pg_temp.number() RETURNS int LANGUAGE sql AS 'SELECT {number}'",
        )
    for connection in (one, two):
        _play(stage, connection, "SELECT pg_temp.number()", "SELECT number()")


@on(*SYNC)
def indexes_and_truncate(stage, driver):
    """DDL on a temporary table of a name that the other uses as well."""
    one, two = stage.open(driver), stage.open(driver)
    for connection in (one, two):
        _play(stage, connection, "CREATE TEMP TABLE t (a int)", "INSERT INTO t VALUES (1), (2)")
        connection.commit()
    _play(
        stage,
        one,
        "CREATE UNIQUE INDEX t_a ON t (a)",
        "ALTER TABLE t ADD b int DEFAULT 5",
        "TRUNCATE t",
    )
    one.rollback()
    _play(stage, one, "SELECT * FROM t")
    one.rollback()
    _play(stage, two, "CREATE UNIQUE INDEX t_a ON t (a)", "INSERT INTO t VALUES (1)")
    two.rollback()
    _play(stage, two, "SELECT * FROM t")


@on(*ASYNC)
async def copied_into(stage, driver):
    """A temporary table filled by one connection while the other has one of its name."""
    one, two = await stage.open_async(driver), await stage.open_async(driver)
    for connection in (one, two):
        await stage.run_async(connection, "CREATE TEMP TABLE t (a int)")
    if driver == "asyncpg":
        await one.copy_records_to_table("t", records=[(1,), (2,)])
    else:
        async with one.cursor().copy("COPY t FROM STDIN") as copy:
            await copy.write_row((1,))
            await copy.write_row((2,))
    await stage.fetch(one, "SELECT a FROM t")
    await stage.fetch(two, "SELECT a FROM t")


@on(("psycopg2", "psycopg"), ("psycopg", "psycopg2"))
def of_two_drivers(stage, first, second):
    """Also between drivers."""
    one, two = stage.open(first, autocommit=True), stage.open(second, autocommit=True)
    _play(stage, one, "CREATE TEMP TABLE t AS SELECT 'first' AS n")
    _play(stage, two, "CREATE TEMP TABLE t AS SELECT 'second' AS n", "SELECT n FROM t")
    stage.run(one, "SELECT n FROM t")


@on(*SYNC)
def undone_by_rollback(stage, driver):
    """A temporary table made in a transaction that rolls back."""
    one = stage.open(driver)
    stage.run(one, "CREATE TEMP TABLE t (a int)")
    one.rollback()
    _play(stage, one, "SELECT * FROM t")
    one.rollback()
    _play(stage, one, "CREATE TEMP TABLE t (b int)", "SELECT * FROM t")


@on(*SYNC)
def in_the_catalogs(stage, driver):
    """The catalogs show a temporary table, and to_regclass() only one's own."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    _play(stage, one, "CREATE TEMP TABLE seen_by_one (a int)")
    for connection in (one, two):
        _play(
            stage,
            connection,
            "SELECT to_regclass('seen_by_one')",
            "SELECT count(*) FROM information_schema.tables WHERE table_name = 'seen_by_one'",
            "SELECT count(*) FROM pg_class WHERE relname = 'seen_by_one' AND relpersistence = 't'",
        )
