"""SET, SET LOCAL and the options of a connection: each connection has its own."""

import pytest
from sqlalchemy import create_engine, event, func, select, text

ZONE = text("show time zone")


SESSION = []


@pytest.mark.parametrize("turn", [1, 2])
def test_what_a_connect_listener_sets_holds_in_every_test(pg, turn):
    """A pool's connections are set up anew, because a test's end undoes SET as well."""
    if not SESSION:
        engine = create_engine(pg.url)

        @event.listens_for(engine, "connect")
        def set_up(connection, record):
            with connection.cursor() as cursor:
                cursor.execute("set time zone 'Asia/Tokyo'")
                cursor.execute("set search_path to public, pg_temp")
            connection.commit()

        SESSION.append(engine)
    with SESSION[0].connect() as connection:
        assert connection.scalar(ZONE) == "Asia/Tokyo"
        assert connection.scalar(text("show search_path")) == "public, pg_temp"
        connection.rollback()
        assert connection.scalar(ZONE) == "Asia/Tokyo"


def test_options_of_the_connection_hold(pg):
    """What connect_args set for a real connection is set in the sandbox too."""
    options = "-c timezone=Asia/Tokyo -csearch_path=public,pg_temp --statement-timeout=12s"
    engine = create_engine(pg.url, connect_args={"options": options})
    with engine.connect() as connection:
        assert connection.scalar(ZONE) == "Asia/Tokyo"
        assert connection.scalar(text("show search_path")) == "public,pg_temp"
        assert connection.scalar(text("show statement_timeout")) == "12s"


def test_settings_of_two_connections_do_not_mix(pg):
    """SET belongs to its connection."""
    engine = create_engine(pg.url)
    with engine.connect() as one, engine.connect() as other:
        one.execute(text("set time zone 'Asia/Tokyo'"))
        one.commit()

        assert one.scalar(ZONE) == "Asia/Tokyo"
        assert other.scalar(ZONE) != "Asia/Tokyo"


def test_set_local_ends_with_its_transaction(pg):
    """SET LOCAL holds until commit."""
    with create_engine(pg.url).connect() as connection:
        connection.execute(text("set local time zone 'Asia/Tokyo'"))
        connection.commit()

        assert connection.scalar(ZONE) != "Asia/Tokyo"


def test_set_is_undone_by_a_rollback(pg):
    """A rollback takes SET back to what it was before, whether that was set or not."""
    with create_engine(pg.url).connect() as connection:
        before = connection.scalar(ZONE)
        connection.execute(text("set time zone 'Asia/Tokyo'"))
        connection.rollback()
        assert connection.scalar(ZONE) == before
        connection.execute(text("set time zone 'Asia/Tokyo'"))
        connection.commit()
        connection.execute(text("set time zone 'Europe/Oslo'"))
        connection.execute(text("savepoint here"))
        connection.execute(text("set local time zone 'Africa/Cairo'"))
        connection.execute(text("rollback to savepoint here"))
        assert connection.scalar(ZONE) == "Europe/Oslo"
        connection.rollback()

        assert connection.scalar(ZONE) == "Asia/Tokyo"


def test_a_tenant_of_a_transaction_is_nobody_elses(pg):
    """set_config with parameters, as row security uses it, ends with its own transaction."""
    tenant = select(func.current_setting("shop.tenant", True))
    engine = create_engine(pg.url)
    with engine.connect() as one, engine.connect() as other:
        one.execute(select(func.set_config("shop.tenant", "one", True)))
        other.execute(select(func.set_config("shop.tenant", "o'ther", True)))

        assert one.scalar(tenant) == "one"
        assert other.scalar(tenant) == "o'ther"
        one.commit()
        assert one.scalar(tenant) == ""
        assert other.scalar(tenant) == "o'ther"
        other.rollback()
        assert other.scalar(tenant) == ""


def test_schemas_by_search_path(pg):
    """Two engines that differ by their search_path only write to different tables."""
    with create_engine(pg.url).begin() as connection:
        for tenant in ("one", "two"):
            connection.execute(text(f"create schema {tenant}"))
            connection.execute(text(f"create table {tenant}.made_by_test (id integer)"))
    one = create_engine(pg.url, connect_args={"options": "-csearch_path=one"})
    two = create_engine(pg.url, connect_args={"options": "-csearch_path=two"})
    with one.connect() as first, two.connect() as second:
        for _ in range(3):
            first.execute(text("insert into made_by_test values (1)"))
            second.execute(text("insert into made_by_test values (2)"))
        second.commit()
        first.commit()

    with create_engine(pg.url).connect() as connection:
        assert set(connection.scalars(text("select id from one.made_by_test"))) == {1}
        assert set(connection.scalars(text("select id from two.made_by_test"))) == {2}
