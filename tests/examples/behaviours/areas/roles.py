"""Roles and session authorization of a connection; DISCARD and RESET ALL."""

from behaviour import on
from stage import SYNC


def _play(stage, connection, *statements):
    for sql in statements:
        stage.run(connection, sql)


@on(*SYNC)
def role_of_one_connection(stage, driver):
    """SET ROLE holds for its connection, and ends with a rollback."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    who = "SELECT current_user = session_user, current_user = 'pg_monitor'"
    _play(stage, one, "SET ROLE pg_monitor", who, "INSERT INTO items (name) VALUES ('a')")
    _play(stage, two, who, "INSERT INTO items (name) VALUES ('b')")
    _play(
        stage,
        one,
        "SHOW role",
        "RESET ROLE",
        who,
        "BEGIN",
        "SET ROLE pg_monitor",
        who,
        "ROLLBACK",
        who,
    )
    _play(
        stage, one, "BEGIN", "SET LOCAL ROLE pg_monitor", who, "COMMIT", who, "SET ROLE NONE", who
    )


@on(*SYNC)
def session_authorization_of_one_connection(stage, driver):
    """So does SET SESSION AUTHORIZATION."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    who = "SELECT session_user = 'pg_monitor', current_user = 'pg_monitor'"
    _play(stage, one, "SET SESSION AUTHORIZATION pg_monitor", who, "SELECT name FROM items")
    _play(stage, two, who, "SELECT name FROM items")
    _play(
        stage,
        one,
        "SET SESSION AUTHORIZATION DEFAULT",
        who,
        "BEGIN",
        "SET LOCAL SESSION AUTHORIZATION pg_monitor",
        who,
        "ROLLBACK",
        who,
    )
    stage.say("is_superuser", one.info.parameter_status("is_superuser"))


@on(*SYNC)
def role_with_row_security(stage, driver):
    """Policies see the settings of their own connection."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "CREATE TABLE notes (tenant text, note text)",
        "INSERT INTO notes VALUES ('a', 'of a'), ('b', 'of b')",
        "GRANT SELECT ON notes TO pg_monitor",
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY own ON notes USING (tenant = current_setting('my.tenant', true))",
    )
    for connection, tenant in ((one, "a"), (two, "b")):
        _play(stage, connection, "SET ROLE pg_monitor", f"SET my.tenant = '{tenant}'")
    for connection in (one, two, one):
        stage.run(connection, "SELECT note FROM notes ORDER BY 1")
    _play(stage, one, "RESET ROLE", "SELECT note FROM notes ORDER BY 1")


@on(*SYNC)
def discard_all(stage, driver):
    """It forgets everything of its connection, and nothing of the other's."""
    one, two = stage.open(driver, autocommit=True), stage.open(driver, autocommit=True)
    for connection in (one, two):
        _play(
            stage,
            connection,
            "SET work_mem = '5MB'",
            "CREATE TEMP TABLE mine (a int)",
            "PREPARE p AS SELECT 1",
            "SELECT pg_advisory_lock_shared(7)",
            "LISTEN channel",
        )
    stage.run(one, "DISCARD ALL")
    for connection in (one, two):
        _play(
            stage,
            connection,
            "SHOW work_mem",
            "SELECT * FROM mine",
            "EXECUTE p",
            "SELECT pg_advisory_unlock_shared(7)",
            "SELECT count(*) FROM pg_listening_channels()",
        )
    _play(
        stage,
        two,
        "BEGIN",
        "DISCARD ALL",
        "ROLLBACK",
        "DISCARD TEMP",
        "DISCARD PLANS",
        "DISCARD SEQUENCES",
        "SHOW work_mem",
    )


@on(*SYNC)
def reset_all(stage, driver):
    """All settings of one connection, back to what it connected with."""
    one = stage.open(driver, autocommit=True, options="-c work_mem=5MB")
    two = stage.open(driver, autocommit=True)
    for connection in (one, two):
        _play(stage, connection, "SET work_mem = '9MB'", "SET my.word = 'x'")
    _play(stage, one, "RESET ALL", "SHOW work_mem", "SHOW my.word")
    _play(stage, two, "SHOW work_mem", "SHOW my.word")
