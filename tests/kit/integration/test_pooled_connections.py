"""An engine that lives as long as the process, with a pool that pings and a listener that sets up.

Tests of one module share the engine, as those of an application do that makes it when it is
imported.
"""

from __future__ import annotations

from functools import cache

import pytest
from sqlalchemy import create_engine, event, text


@cache
def engine_of(url, pre_ping):
    """Return an engine whose connections have a statement timeout of their own."""
    engine = create_engine(url, pool_pre_ping=pre_ping)

    @event.listens_for(engine, "connect")
    def set_up(connection, record):
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '77s'")
        connection.commit()

    return engine


@pytest.mark.parametrize("test", [1, 2, 3])
@pytest.mark.parametrize("pre_ping", [True, False], ids=["ping", "no-ping"])
def test_what_a_listener_sets_is_set_in_every_test(pre_ping, test, pg):
    """The rollback of the test that made the connection undid it, so it is done anew."""
    with engine_of(pg.url, pre_ping).connect() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "77s"


def test_a_ping_is_not_counted(pg):
    """The second checkout of a connection takes as many statements as the first."""
    engine = create_engine(pg.url, pool_pre_ping=True)
    with pg.counting() as first, engine.connect() as connection:
        connection.scalar(text("SELECT 41 + 1"))
    with pg.counting() as second, engine.connect() as connection:
        connection.scalar(text("SELECT 41 + 1"))

    assert first.statements == second.statements == ["SELECT 41 + 1"]
