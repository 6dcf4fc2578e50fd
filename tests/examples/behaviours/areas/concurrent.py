"""Several transactions at once, by one driver or by several."""

from behaviour import on
from stage import SYNC

_INSERT = "INSERT INTO items (name) VALUES ('{}')"
_NAMES = "SELECT name FROM items ORDER BY name"


@on(*SYNC)
def a_commit_is_visible_at_once(stage, driver):
    """To a reader that is in a transaction, too."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(two, _NAMES)
    stage.run(one, _INSERT.format("a"))
    one.commit()
    stage.run(two, _NAMES)
    two.rollback()


@on(("psycopg2", "psycopg"), ("psycopg", "psycopg2"))
def two_drivers_take_turns(stage, first, second):
    """Each sees what the other committed."""
    one, two = stage.open(first), stage.open(second)
    for number in range(3):
        stage.run(one, _INSERT.format(f"one {number}"))
        one.commit()
        stage.run(two, _INSERT.format(f"two {number}"))
        stage.run(two, _NAMES)
        if number == 1:
            two.rollback()
        else:
            two.commit()
    stage.run(one, _NAMES)


@on(*SYNC)
def the_upper_of_two_rolls_back(stage, driver):
    """Two open transactions that end like brackets."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, _INSERT.format("one"))
    stage.run(two, _INSERT.format("two"))
    two.rollback()
    one.commit()
    stage.run(two, _NAMES)


@on(*SYNC)
def both_commit_crosswise(stage, driver):
    """Any order will do."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, _INSERT.format("one"))
    stage.run(two, _INSERT.format("two"))
    one.commit()
    two.commit()
    stage.run(two, _NAMES)


@on(*SYNC)
def the_lower_of_two_rolls_back(stage, driver):
    """What one connection can't express."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, _INSERT.format("one"))
    stage.run(two, _INSERT.format("two"))
    with stage.noting("rollback"):
        one.rollback()
    two.commit()
    stage.run(two, _NAMES)


@on(*SYNC)
def a_reader_rolls_back_below_a_writer(stage, driver):
    """A transaction that only read is never in the way."""
    one, two = stage.open(driver), stage.open(driver)
    stage.run(one, _NAMES)
    stage.run(two, _INSERT.format("two"))
    one.rollback()
    two.commit()
    stage.run(one, _NAMES)


async def all_drivers_at_once(stage):
    """Four connections of four kinds in one test."""
    one, two = stage.open("psycopg2"), stage.open("psycopg")
    three, four = await stage.open_async("psycopg"), await stage.open_async("asyncpg")
    stage.run(one, _INSERT.format("psycopg2"))
    one.commit()
    stage.run(two, _INSERT.format("psycopg"))
    two.commit()
    await stage.run_async(three, _INSERT.format("async psycopg"))
    await three.commit()
    async with four.transaction():
        await stage.run_async(four, _INSERT.format("asyncpg"))
    await stage.fetch(four, _NAMES)
    stage.run(one, _NAMES)
    stage.run(two, _NAMES)
    await stage.run_async(three, _NAMES)
