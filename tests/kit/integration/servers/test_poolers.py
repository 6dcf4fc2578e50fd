"""A pooler that shares sessions out by the transaction is recognised before a run begins."""

from __future__ import annotations

from contextlib import closing

import pytest
from sqlalchemy.engine import URL, make_url

from pgsandbox.errors import PoolerInBetween
from pgsandbox.servers import given, libpq, poolers
from tests.kit.external import External
from tests.kit.integration.servers.pooler import Pooler


def _url(pooler: Pooler) -> URL:
    return make_url(f"postgresql+psycopg2://postgres:pw@127.0.0.1:{pooler.port}/shop_test")


@pytest.mark.parametrize("in_turn", [True, False], ids=["in turn", "last used first"])
@pytest.mark.parametrize("sessions", [1, 2, 5])
def test_a_pooler_in_transaction_mode_is_recognised(
    external: External, sessions: int, in_turn: bool
) -> None:
    """However many sessions it has, and in whatever order it takes them."""
    path = f"{external.hold.instance.run}/.s.PGSQL.{external.port}"
    with (
        Pooler(path, sessions=sessions, in_turn=in_turn) as pooler,
        pytest.raises(PoolerInBetween, match="gives each transaction another session") as caught,
    ):
        given(_url(pooler), reason="a test", source="TEST_DATABASE_URL")

    text = str(caught.value)
    assert f"its port is {external.port}" in text
    assert ":pw@" not in text


def test_a_session_of_ones_own_is_none(external: External) -> None:
    """No pooler stands before it."""
    server = given(external.url, reason="a test", source="TEST_DATABASE_URL")

    assert server.url.port == external.port


def test_the_url_to_use_instead_is_told(external: External) -> None:
    """The server knows the address at which the pooler comes in."""
    with closing(libpq.connect(external.url)) as connection:
        error = poolers._pooler(connection, external.url.set(port=6432), "TEST_DATABASE_URL", "x")

    expected = f"postgresql+psycopg2://postgres:***@127.0.0.1:{external.port}/postgres"
    assert expected in error.remedy
