"""Settings of a connection: SET in all its forms, roles, and how they end with transactions."""

from behaviour import on
from stage import ASYNC, SYNC

_PAIRS = (("psycopg2", "psycopg"), ("psycopg", "psycopg2"))


def _play(stage, connection, *statements):
    for sql in statements:
        stage.run(connection, sql)


@on(*SYNC)
def set_belongs_to_one_connection(stage, driver):
    """The other one keeps its default."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "SET work_mem = '5MB'",
        "SET datestyle = 'German'",
        "SET timezone = 'Asia/Tokyo'",
    )
    for connection in (one, two, one):
        _play(
            stage,
            connection,
            "SHOW work_mem",
            "SHOW datestyle",
            "SELECT timestamptz '2026-01-01 00:00+00'::text",
        )
    _play(stage, two, "SET timezone = 'UTC'")
    _play(stage, one, "RESET work_mem", "SHOW work_mem", "SHOW timezone")


@on(*SYNC)
def set_is_undone_by_rollback(stage, driver):
    """A SET in a transaction that rolls back never was."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "SET work_mem = '5MB'",
        "BEGIN",
        "SET work_mem = '6MB'",
        "SHOW work_mem",
        "ROLLBACK",
        "SHOW work_mem",
        "BEGIN",
        "SET work_mem = '7MB'",
        "COMMIT",
        "SHOW work_mem",
        "BEGIN",
        "RESET work_mem",
        "ROLLBACK",
        "SHOW work_mem",
    )


@on(*SYNC)
def set_local_ends_with_its_transaction(stage, driver):
    """By commit as by rollback; outside of one it is a warning."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "SET LOCAL work_mem = '5MB'",
        "SHOW work_mem",
        "BEGIN",
        "SET LOCAL work_mem = '6MB'",
        "SHOW work_mem",
        "COMMIT",
        "SHOW work_mem",
        "BEGIN",
        "SET work_mem = '7MB'",
        "SET LOCAL work_mem = '8MB'",
        "SHOW work_mem",
        "COMMIT",
        "SHOW work_mem",
    )


@on(*SYNC)
def set_config_as_a_function(stage, driver):
    """The third argument says whether it is local."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, "SELECT set_config('my.user', %s, false)", ("ann",))
    stage.run(one, "SELECT set_config('my.request', %s, true)", ("7",))
    show = "SELECT current_setting('my.user', true), current_setting('my.request', true)"
    stage.run(one, show)
    stage.run(two, show)
    one.commit()
    stage.run(one, show)
    two.rollback()
    stage.run(two, show)


@on(*SYNC)
def settings_of_transactions_by_parameters(stage, driver):
    """A tenant for row security and a limit of time, set and read by names that are bound."""
    one, two = stage.open(driver), stage.open(driver, application_name="two")
    names = ("my.tenant", "statement_timeout", "application_name")
    for connection, tenant in ((one, "first"), (two, "second")):
        stage.run(connection, "SELECT set_config(%s, %s, true)", (names[0], tenant))
        stage.run(connection, "SET LOCAL statement_timeout = '7s'")
    for connection in (one, two, one):
        for name in names[:2] if connection is one else names:
            stage.run(connection, "SELECT current_setting(%s, true)", (name,))
        stage.run(connection, "SELECT count(*) FROM pg_settings WHERE name = %s", (names[1],))
    one.commit()
    two.rollback()
    for connection in (one, two):
        stage.run(connection, "SELECT current_setting(%s, true)", (names[0],))


@on(*ASYNC)
async def settings_of_async_transactions_by_parameters(stage, driver):
    """The same by the drivers that are awaited."""
    one = await stage.open_async(driver)
    place = "$1" if driver == "asyncpg" else "%s"
    for begin in ("SET my.region = 'north'", "BEGIN", "SET LOCAL my.tenant = 'first'"):
        await stage.run_async(one, begin)
    for name in ("my.tenant", "my.region", "my.tenant"):
        await stage.fetch(one, f"SELECT current_setting({place}, true)", name)
    await stage.run_async(one, "ROLLBACK")
    for name in ("my.tenant", "my.region"):
        await stage.fetch(one, f"SELECT current_setting({place}, true)", name)


@on(*SYNC)
def custom_settings_of_two_connections(stage, driver):
    """As row security reads them."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    _play(stage, one, "SET my.tenant = 'one'")
    _play(
        stage,
        two,
        "SELECT current_setting('my.tenant', true)",
        "SELECT current_setting('my.tenant')",
        "SET my.tenant = 'two'",
    )
    _play(
        stage,
        one,
        "SELECT current_setting('my.tenant')",
        "RESET my.tenant",
        "SELECT current_setting('my.tenant')",
    )
    _play(stage, two, "SHOW my.tenant", "RESET ALL", "SHOW my.tenant")


@on(*SYNC)
def settings_in_a_failed_transaction(stage, driver):
    """SET fails with 25P02, and what was SET before the error is undone."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "BEGIN",
        "SET work_mem = '6MB'",
        "SELECT 1/0",
        "SET work_mem = '7MB'",
        "SHOW work_mem",
        "ROLLBACK",
        "SHOW work_mem",
    )


@on(*SYNC)
def search_path_of_two_connections(stage, driver):
    """One name is two tables."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "CREATE SCHEMA north",
        "CREATE SCHEMA south",
        "CREATE TABLE north.places (n text)",
        "CREATE TABLE south.places (n text)",
        "SET search_path = north",
        "INSERT INTO places VALUES ('n')",
    )
    _play(
        stage,
        two,
        "SELECT * FROM places",
        "SET search_path TO south, public",
        "INSERT INTO places VALUES ('s')",
        "SELECT * FROM places",
    )
    _play(
        stage,
        one,
        "SELECT * FROM places",
        "SELECT current_schemas(false)",
        "SET search_path TO DEFAULT",
        "SHOW search_path",
    )
    _play(
        stage,
        two,
        "SELECT current_schema()",
        "BEGIN",
        "SET LOCAL search_path = nowhere",
        "SELECT * FROM items",
        "ROLLBACK",
        "SELECT * FROM items",
    )


@on(*SYNC)
def options_at_connect(stage, driver):
    """As given in the URL or by keyword."""
    one = stage.open(
        driver, options="-c work_mem=5MB -c my.word=hello", application_name="worker 7"
    )
    two = stage.open(driver)
    for connection in (one, two):
        _play(stage, connection, "SHOW work_mem", "SELECT current_setting('my.word', true)")
    _play(
        stage,
        one,
        "SHOW application_name",
        "SET work_mem = '6MB'",
        "RESET work_mem",
        "SHOW work_mem",
    )


@on(*SYNC)
def wrong_options_at_connect(stage, driver):
    """The server refuses them, and the next connection is not concerned."""
    with stage.noting("connect"):
        stage.open(driver, options="-c work_mem=nothing")
    with stage.noting("connect"):
        stage.open(driver, options="-c no_such_setting=1")
    stage.run(stage.open(driver), "SHOW work_mem")


@on(*_PAIRS)
def application_name_of_two_drivers(stage, first, second):
    """Each connection has its own, also in parameter statuses."""
    one, two = (
        stage.open(first, application_name="first"),
        stage.open(second, application_name="second"),
    )
    _play(stage, one, "SHOW application_name")
    _play(
        stage,
        two,
        "SHOW application_name",
        "SET application_name = 'third'",
        "SHOW application_name",
    )
    two.commit()
    _play(stage, one, "SHOW application_name")
    for connection in (one, two):
        stage.say("status", connection.info.parameter_status("application_name"))


@on(*SYNC)
def parameter_statuses(stage, driver):
    """The server tells of changes to the connection that made them."""
    one, two = stage.open(driver), stage.open(driver)
    names = [
        "TimeZone",
        "DateStyle",
        "client_encoding",
        "standard_conforming_strings",
        "server_encoding",
        "integer_datetimes",
        "is_superuser",
    ]
    for connection in (one, two):
        stage.say("at first", [connection.info.parameter_status(name) for name in names])
    _play(stage, one, "SET timezone = 'Asia/Tokyo'", "SET datestyle = 'German'")
    for connection in (one, two):
        stage.say("after SET", [connection.info.parameter_status(name) for name in names])
    stage.run(two, "SELECT 1")
    stage.say("after the other's statement", [two.info.parameter_status(name) for name in names])
    one.rollback()
    stage.say("after rollback", [one.info.parameter_status(name) for name in names])


@on(*SYNC)
def client_encoding(stage, driver):
    """Latin 1 on one connection, UTF-8 on the other."""
    one, two = stage.open(driver), stage.open(driver)
    if driver == "psycopg2":
        one.set_client_encoding("LATIN1")
    else:
        one.execute("SET client_encoding TO 'LATIN1'")
        one.commit()
    stage.run(one, "SELECT 'grün', length('grün'), octet_length('grün')")
    stage.run(two, "SELECT 'grün', length('grün'), '€'")
    stage.run(one, "SELECT chr(8364)")
    one.rollback()
    stage.run(one, "INSERT INTO items (name) VALUES (%s)", ("müde",))
    one.commit()
    stage.run(two, "SELECT name FROM items")
    stage.say("encodings", *(each.info.parameter_status("client_encoding") for each in (one, two)))


@on(*SYNC)
def settings_that_do_not_exist(stage, driver):
    """Errors in SET leave everything as it was."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "SET no_such = 1",
        "SHOW no_such",
        "SET work_mem = 'x'",
        "SET work_mem = 1",
        "SHOW max_connections = 1",
        "SET max_connections = 1",
        "SHOW work_mem",
    )


@on(*SYNC)
def a_function_with_set(stage, driver):
    """A function's own SET ends with it."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "CREATE FUNCTION path() RETURNS text LANGUAGE sql SET search_path = pg_catalog AS $$"
        " SELECT current_setting('search_path') $$",
        "SELECT path()",
        "SHOW search_path",
        "CREATE FUNCTION sets() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET work_mem ="
        " '5MB'; PERFORM set_config('my.word', 'set', false); END $$",
        "SELECT sets()",
        "SHOW work_mem",
        "SHOW my.word",
    )
    stage.run(stage.open(driver), "SHOW work_mem")


@on(*SYNC)
def session_characteristics(stage, driver):
    """The defaults of one connection's coming transactions."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SHOW transaction_read_only",
        "INSERT INTO items (name) VALUES ('a')",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "INSERT INTO items (name) VALUES ('a')",
    )
    stage.run(two, "SHOW transaction_read_only")


async def settings_of_asyncpg(stage):
    """server_settings at connect, get_settings() and reset()."""
    one = await stage.open_async(server_settings={"work_mem": "5MB", "application_name": "a"})
    two = await stage.open_async()
    for connection in (one, two):
        await stage.fetch(connection, "SHOW work_mem")
    stage.say("settings", one.get_settings().application_name, one.get_settings().TimeZone)
    await one.execute("SET work_mem = '9MB'; SET timezone = 'Asia/Tokyo'")
    stage.say("settings", one.get_settings().TimeZone)
    await one.reset()
    await stage.fetch(one, "SHOW work_mem")
    stage.say("settings", one.get_settings().TimeZone)


@on(*ASYNC)
async def timezone_of_two_async_connections(stage, driver):
    """What one sets is not told to the other."""
    one, two = await stage.open_async(driver), await stage.open_async(driver)
    await stage.run_async(one, "SET timezone = 'America/New_York'")
    for connection in (one, two):
        await stage.fetch(connection, "SELECT timestamptz '2026-07-01 12:00+00'::text")
        await stage.fetch(connection, "SELECT timestamptz '2026-07-01 12:00+00'")


@on(*SYNC)
def standard_conforming_strings_off(stage, driver):
    """The driver quotes as its own connection reads."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "SET standard_conforming_strings = off",
        "SET escape_string_warning = off",
        r"SELECT 'a\'b; COMMIT; --'",
    )
    for connection in (one, two):
        stage.run(connection, "SELECT %s::text", ("back\\slash'",))
        stage.run(connection, r"SELECT 'a\tb'")
