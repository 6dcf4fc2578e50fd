"""DDL, and constraints that wait for the end of their transaction."""

import pytest
from shop.models import Item, Part, Shelf
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError

MADE = "select count(*) from pg_class where relname = 'made_by_test'"


@pytest.fixture(autouse=True)
def nothing_is_committed():
    """Who changes a table locks it to the end, so that outside only the catalog can be asked."""


def test_tables_made_by_a_test_are_there_for_the_rest_of_it(shop, db_session, pg):
    """DDL commits and rolls back as rows do."""
    with shop.engine().begin() as connection:
        connection.execute(text("create table made_by_test (id integer primary key)"))
    with shop.engine().connect() as connection:
        connection.execute(text("drop table made_by_test"))
        connection.rollback()
        connection.execute(text("insert into made_by_test values (1)"))
        connection.commit()

    assert db_session.scalar(text("select count(*) from made_by_test")) == 1
    assert pg.outside(MADE) == 0


def test_drop_all_and_create_all(shop, db_session, pg):
    """An application that makes its own schema may do so."""
    Item.metadata.drop_all(shop.engine())
    assert db_session.scalar(text("select to_regclass('items')")) is None
    db_session.rollback()
    Item.metadata.create_all(shop.engine())

    assert db_session.scalar(select(func.count(Item.id))) == 0
    assert pg.outside(MADE) == 0


def test_truncate_and_alter_are_undone(shop, db_session, pg):
    """Nobody outside sees the new name, and in the next test the table has its old one."""
    with shop.engine().begin() as connection:
        connection.execute(text("alter table items rename to made_by_test"))
        connection.execute(text("truncate shelves restart identity"))

    assert db_session.scalar(text("select count(*) from made_by_test")) == 0
    assert pg.outside(MADE) == 0


def test_a_deferred_constraint_is_checked_at_commit(shop, db_session):
    """The commit raises, and nothing of its transaction stays."""
    with shop.open_session() as session:
        session.add(Item(name="lamp"))
        session.add(Part(item_id=1_000_000))
        session.flush()
        with pytest.raises(IntegrityError, match="parts_item"):
            session.commit()
        session.rollback()

    assert db_session.scalar(select(func.count(Item.id))) == 0
    assert db_session.scalar(select(func.count(Part.id))) == 0


def test_a_deferred_constraint_may_be_broken_until_commit(shop, db_session):
    """Rows that are complete at the commit pass, in the first transaction and in the second."""
    with shop.engine().connect() as connection:
        connection.execute(insert(Part).values(item_id=1_000_000))
        connection.execute(insert(Item).values(id=1_000_000, name="lamp"))
        connection.commit()
        connection.execute(insert(Part).values(item_id=2_000_000))
        connection.execute(insert(Item).values(id=2_000_000, name="chair"))
        connection.commit()

    assert db_session.scalar(select(func.count(Part.id))) == 2


def test_a_deferred_constraint_is_checked_at_an_autocommit_statement(shop, db_session):
    """A statement that is its own transaction is checked at its own end."""
    engine = shop.engine().execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        with pytest.raises(IntegrityError, match="parts_item"):
            connection.execute(insert(Part).values(item_id=1_000_000))
        connection.execute(insert(Item).values(name="lamp"))

    assert db_session.scalar(select(func.count(Item.id))) == 1
    assert db_session.scalar(select(func.count(Part.id))) == 0


def test_an_initially_immediate_constraint_stays_immediate(shop, db_session):
    """SET CONSTRAINTS holds for its own transaction, and the next one starts as declared."""
    with shop.open_session() as session:
        session.execute(text("set constraints shelves_position deferred"))
        session.execute(insert(Shelf).values(id=1, position=1))
        session.execute(insert(Shelf).values(id=2, position=1))
        session.execute(text("update shelves set position = 2 where id = 2"))
        session.commit()
        with pytest.raises(IntegrityError, match="shelves_position"):
            session.execute(insert(Shelf).values(id=3, position=1))
        session.rollback()

    assert sorted(db_session.scalars(select(Shelf.position))) == [1, 2]


def test_set_constraints_immediate_checks_at_once(shop, db_session):
    """The application may ask for the check before its commit, and go on after a rollback."""
    with shop.open_session() as session:
        session.execute(insert(Part).values(item_id=1_000_000))
        with pytest.raises(IntegrityError, match="parts_item"):
            session.execute(text("set constraints all immediate"))
        session.rollback()
        session.add(Item(name="lamp"))
        session.commit()

    assert db_session.scalar(select(func.count(Item.id))) == 1


def test_what_the_test_has_not_completed_does_not_fail_the_application(shop, db_session):
    """The application commits while rows of the test's own session still break a constraint."""
    db_session.execute(insert(Part).values(item_id=1_000_000))
    with shop.open_session() as session:
        session.add(Item(name="lamp"))
        session.commit()
    db_session.execute(insert(Item).values(id=1_000_000, name="chair"))
    db_session.commit()

    assert db_session.scalar(select(func.count(Item.id))) == 2
