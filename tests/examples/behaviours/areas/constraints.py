"""Constraints that wait for the commit."""

from behaviour import on
from stage import ASYNC, SYNC

_BROKEN = "INSERT INTO parts (number, parent) VALUES ({0}, {0})"
_PARENT = "INSERT INTO parents VALUES ({0})"
_PARTS = "SELECT number FROM parts ORDER BY 1"


def _play(stage, connection, *statements):
    for sql in statements:
        stage.run(connection, sql)


@on(*SYNC)
def raised_by_the_commit(stage, driver):
    """The commit fails and undoes all."""
    one = stage.open(driver)
    _play(stage, one, _BROKEN.format(1))
    with stage.noting("commit"):
        one.commit()
    stage.note(one)
    _play(stage, one, _PARTS)
    one.rollback()


@on(*SYNC)
def raised_by_the_statement_commit(stage, driver):
    """Also by SQL, with chain, and by END."""
    one = stage.open(driver, autocommit=True)
    for end in ("COMMIT", "END", "COMMIT AND CHAIN"):
        _play(stage, one, "BEGIN", _BROKEN.format(1), end, "SELECT 1")
    _play(stage, one, "ROLLBACK", _PARTS)


@on(*SYNC)
def made_good_before_the_commit(stage, driver):
    """The parent comes later, or the part goes."""
    one, two = stage.open(driver), stage.open(driver)
    _play(stage, one, _BROKEN.format(1), _PARENT.format(1))
    one.commit()
    _play(stage, one, _BROKEN.format(2), "DELETE FROM parts WHERE number = 2")
    one.commit()
    stage.run(two, _PARTS)


@on(*SYNC)
def raised_in_autocommit(stage, driver):
    """At the statement itself."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        _BROKEN.format(1),
        _PARENT.format(1),
        _BROKEN.format(1),
        "DELETE FROM parents",
        _PARTS,
    )


@on(*SYNC)
def set_constraints(stage, driver):
    """IMMEDIATE checks at once, and holds for one transaction."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "SET CONSTRAINTS ALL IMMEDIATE",
        "BEGIN",
        "SET CONSTRAINTS ALL IMMEDIATE",
        _BROKEN.format(1),
        "ROLLBACK",
        "BEGIN",
        _BROKEN.format(1),
        "SET CONSTRAINTS ALL IMMEDIATE",
        "ROLLBACK",
        "BEGIN",
        _BROKEN.format(1),
        _PARENT.format(1),
        "SET CONSTRAINTS parts_parent_fkey IMMEDIATE",
        _BROKEN.format(2),
        "COMMIT",
        "BEGIN",
        "SET CONSTRAINTS nowhere IMMEDIATE",
        "ROLLBACK",
        _PARTS,
    )


@on(*SYNC)
def set_constraints_of_one_connection(stage, driver):
    """The other one's stay deferred."""
    one, two = stage.open(driver), stage.open(driver)
    _play(stage, one, "SET CONSTRAINTS ALL IMMEDIATE")
    _play(stage, two, _BROKEN.format(2), _PARENT.format(2))
    two.commit()
    _play(stage, one, _BROKEN.format(1))
    one.rollback()
    stage.run(two, _PARTS)


@on(*SYNC)
def back_to_a_savepoint(stage, driver):
    """What broke it is undone before the commit; SET CONSTRAINTS goes back, too."""
    one = stage.open(driver)
    _play(
        stage,
        one,
        "SAVEPOINT s",
        _BROKEN.format(1),
        "SET CONSTRAINTS ALL IMMEDIATE",
        "ROLLBACK TO s",
        _PARENT.format(2),
        _BROKEN.format(2),
    )
    one.commit()
    _play(
        stage,
        one,
        "SAVEPOINT s",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "ROLLBACK TO s",
        _BROKEN.format(3),
        _PARENT.format(3),
    )
    one.commit()
    _play(stage, one, _PARTS)


@on(*SYNC)
def anothers_commit_checks_nothing(stage, driver):
    """One's broken row is not the other's fault."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, _BROKEN.format(1))
    stage.run(two, "INSERT INTO items (name) VALUES ('good')")
    with stage.noting("commit"):
        two.commit()
    stage.run(one, _PARENT.format(1))
    with stage.noting("commit"):
        one.commit()
    stage.run(two, _PARTS)


@on(*SYNC)
def deferred_unique_and_triggers(stage, driver):
    """Unique constraints and constraint triggers can wait, too."""
    one = stage.open(driver, autocommit=True)
    _play(
        stage,
        one,
        "CREATE TABLE t (a int UNIQUE DEFERRABLE INITIALLY DEFERRED, b int UNIQUE DEFERRABLE)",
        "INSERT INTO t VALUES (1, 1), (2, 2)",
        "UPDATE t SET a = 3 - a, b = 3 - b",
        "BEGIN",
        "UPDATE t SET a = 5",
        "COMMIT",
        "SELECT * FROM t ORDER BY a",
        "CREATE FUNCTION checks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE"
        " 'checked %', NEW.a; RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER later AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR"
        " EACH ROW EXECUTE FUNCTION checks()",
        "BEGIN",
        "INSERT INTO t VALUES (7, 7)",
        "INSERT INTO t VALUES (8, 8)",
        "SELECT 1",
        "COMMIT",
        "BEGIN",
        "INSERT INTO t VALUES (9, 9)",
        "ROLLBACK",
        "INSERT INTO t VALUES (10, 10)",
    )


@on(*SYNC)
def a_deferred_trigger_that_writes(stage, driver):
    """What it writes at the commit is committed, or undone with it."""
    one, two = stage.open(driver), stage.open(driver)
    _play(
        stage,
        one,
        "CREATE FUNCTION writes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO"
        " parents VALUES (NEW.id); IF NEW.name = 'bad' THEN RAISE 'bad'; END IF; RETURN"
        " NULL; END $$",
        "CREATE CONSTRAINT TRIGGER later AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION writes()",
    )
    one.commit()
    for name in ("good", "bad"):
        stage.run(one, "INSERT INTO items (id, name) VALUES (%s, %s)", (len(name), name))
        stage.run(one, "SELECT count(*) FROM parents")
        with stage.noting("commit"):
            one.commit()
        stage.run(two, "SELECT number FROM parents")
        two.rollback()


@on(*ASYNC)
async def raised_by_an_async_commit(stage, driver):
    """Out of the block."""
    one = await stage.open_async(driver)
    with stage.noting("block"):
        async with one.transaction():
            await stage.run_async(one, _BROKEN.format(1))
    await stage.fetch(one, _PARTS)
    if driver == "psycopg":
        await one.rollback()
    with stage.noting("inner block"):
        async with one.transaction():
            async with one.transaction():
                await stage.run_async(one, _BROKEN.format(1))
            await stage.run_async(one, _PARENT.format(1))
    await stage.fetch(one, _PARTS)


@on(("psycopg2", "psycopg"), ("psycopg", "psycopg2"))
def both_have_broken_rows(stage, first, second):
    """Each commit answers for its own."""
    one, two = stage.open(first), stage.open(second)
    stage.run(one, _BROKEN.format(1))
    stage.run(two, _BROKEN.format(2))
    stage.run(two, _PARENT.format(2))
    with stage.noting("second"):
        two.commit()
    with stage.noting("first"):
        one.commit()
    stage.run(two, _PARTS)
