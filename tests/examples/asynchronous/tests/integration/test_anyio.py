"""The same fixtures with anyio's plugin instead of pytest-asyncio."""

import pytest
from sqlalchemy import select
from tickets.app import app
from tickets.models import Show

from tests.integration.client import post
from tests.integration.factories import ShowFactory


# --8<-- [start:anyio]
@pytest.fixture
def anyio_backend():
    """SQLAlchemy's asynchronous side is asyncio's."""
    return "asyncio"


@pytest.mark.anyio
async def test_an_order_takes_a_seat(async_db_session):
    """The fixtures are synchronous, so that they need neither plugin."""
    ShowFactory(title="hamlet", seats=2)

    assert await post(app, "/shows/hamlet/orders/ada") == 201
    assert await async_db_session.scalar(select(Show.seats)) == 1


# --8<-- [end:anyio]
