"""What one transaction can't give: time, snapshots, isolation, VACUUM and its like."""

from behaviour import on
from stage import ASYNC, SYNC


def _play(stage, connection, *statements):
    for sql in statements:
        stage.run(connection, sql)


@on(*SYNC)
def now_of_two_transactions(stage, driver):
    """now() is the beginning of the transaction."""
    one = stage.open(driver)
    times = []
    for _ in range(2):
        cursor = one.cursor()
        cursor.execute("SELECT now(), clock_timestamp() - now() < interval '1 s'")
        times.append(cursor.fetchone())
        one.commit()
    stage.say("differ", times[0][0] != times[1][0])


@on(*SYNC)
def custom_settings_in_functions(stage, driver):
    """A function asks for what only the other one has set."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "CREATE FUNCTION tenant() RETURNS text LANGUAGE sql AS"
        " $$ SELECT current_setting('my.tenant', true) $$",
        "SET my.tenant = 'one'",
        "SELECT tenant() IS NULL",
    )
    _play(stage, two, "SELECT tenant() = 'one'", "SELECT tenant() IS NULL")


@on(*SYNC)
def now_within_a_transaction(stage, driver):
    """It stands still, clock_timestamp() goes on."""
    one = stage.open(driver)
    for column in (
        "now()",
        "transaction_timestamp()",
        "current_timestamp",
        "clock_timestamp()",
        "statement_timestamp()",
    ):
        found = []
        for _ in range(2):
            cursor = one.cursor()
            cursor.execute(f"SELECT {column}")
            found.append(cursor.fetchone()[0])
        stage.say(column, found[0] == found[1])
    one.rollback()


@on(*SYNC)
def transaction_numbers(stage, driver):
    """Each transaction has its own."""
    one, two = stage.open(driver), stage.open(driver)
    found = []
    for connection in (one, two, one):
        cursor = connection.cursor()
        cursor.execute("SELECT pg_current_xact_id()::text")
        found.append(cursor.fetchone()[0])
        connection.commit()
    stage.say("different", len(set(found)))


@on(*SYNC)
def a_repeatable_snapshot(stage, driver):
    """REPEATABLE READ sees what was there at its beginning."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    _play(stage, one, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM items")
    _play(stage, two, "INSERT INTO items (name) VALUES ('later')")
    _play(stage, one, "SELECT count(*) FROM items", "COMMIT", "SELECT count(*) FROM items")


@on(*SYNC)
def serializable_conflicts(stage, driver):
    """Write skew is refused by 40001."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    for connection in (one, two):
        _play(stage, connection, "BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT count(*) FROM items")
    _play(stage, one, "INSERT INTO items (name) VALUES ('one')")
    _play(stage, two, "INSERT INTO items (name) VALUES ('two')", "COMMIT")
    _play(stage, one, "COMMIT")


@on(*SYNC)
def levels_by_set(stage, driver):
    """SET TRANSACTION, SET SESSION CHARACTERISTICS, default_transaction_isolation."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "BEGIN",
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "SHOW transaction_isolation",
        "ROLLBACK",
        "SHOW transaction_isolation",
    )
    _play(
        stage,
        one,
        "SET default_transaction_isolation = 'serializable'",
        "BEGIN",
        "SHOW transaction_isolation",
        "ROLLBACK",
    )


@on(*SYNC)
def snapshots_are_exported(stage, driver):
    """pg_export_snapshot and SET TRANSACTION SNAPSHOT."""
    one, two = stage.open(driver), stage.open(driver, autocommit=True)
    cursor = one.cursor()
    with stage.noting("export"):
        cursor.execute("SELECT pg_export_snapshot()")
        name = cursor.fetchone()[0]
        two.cursor().execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        two.cursor().execute(f"SET TRANSACTION SNAPSHOT '{name}'")
    one.rollback()


@on(*SYNC)
def outside_of_transactions(stage, driver):
    """VACUUM, indexes made concurrently."""
    one = stage.open(driver, autocommit=True)
    for sql in (
        "VACUUM items",
        "CREATE INDEX CONCURRENTLY made ON items (amount)",
        "DROP INDEX CONCURRENTLY made",
        "REINDEX TABLE CONCURRENTLY items",
    ):
        stage.run(one, sql)


@on(*SYNC)
def vacuum(stage, driver):
    """By itself, and in a transaction, where nobody may."""
    one = stage.open(driver)
    _play(stage, one, "VACUUM items")
    one.rollback()


@on(*SYNC)
def two_phase_by_sql(stage, driver):
    """PREPARE TRANSACTION."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "BEGIN",
        "INSERT INTO items (name) VALUES ('a')",
        "PREPARE TRANSACTION 'mine'",
        "ROLLBACK",
        "COMMIT PREPARED 'mine'",
    )


@on("psycopg2", "psycopg")
def two_phase_by_the_driver(stage, driver):
    """tpc_begin and its kind."""
    one = stage.open(driver)
    with stage.noting("two-phase"):
        one.tpc_begin(one.xid(1, "mine", "branch"))
        one.cursor().execute("INSERT INTO items (name) VALUES ('a')")
        one.tpc_prepare()
        one.tpc_commit()


@on(*ASYNC)
async def levels_of_async_drivers(stage, driver):
    """A serializable block."""
    one = await stage.open_async(driver)
    with stage.noting("block"):
        if driver == "asyncpg":
            async with one.transaction(isolation="serializable"):
                await stage.fetch(one, "SHOW transaction_isolation")
        else:
            await one.set_isolation_level(4)
            await stage.fetch(one, "SHOW transaction_isolation")


@on(*SYNC)
def an_uncommitted_row_is_unseen(stage, driver):
    """No dirty reads."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, "INSERT INTO items (name) VALUES ('a')")
    stage.run(two, "SELECT name FROM items")
    one.commit()
    stage.run(two, "SELECT name FROM items")
    two.rollback()


@on(*SYNC)
def who_is_connected(stage, driver):
    """pg_stat_activity has one line for each connection."""
    one = stage.open(driver, application_name="seen one")
    stage.open(driver, application_name="seen two")
    stage.run(
        one,
        "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'seen %'"
        " ORDER BY 1",
    )
    one.rollback()


@on(*SYNC)
def commit_timestamps_of_rows(stage, driver):
    """xmin tells rows of one transaction from those of another."""
    one = stage.open(driver)
    for name in "ab":
        stage.run(one, "INSERT INTO items (name) VALUES (%s)", (name,))
        one.commit()
    stage.run(one, "SELECT count(DISTINCT xmin::text) FROM items")
    one.rollback()
