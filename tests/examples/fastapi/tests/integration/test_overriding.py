"""An endpoint that is given the test's own session."""

# --8<-- [start:overridden]
import pytest
from bookings.app import app
from bookings.database import get_db
from bookings.models import Booking

from tests.integration.factories import RoomFactory


@pytest.mark.anyio
async def test_the_tests_own_session(client, async_db_session, monkeypatch):
    """A test may hand its own session in; what the background task does is committed apart."""
    RoomFactory(name="tower")
    monkeypatch.setitem(app.dependency_overrides, get_db, lambda: async_db_session)

    response = await client.post("/rooms/tower/bookings", params={"guest": "Ada"})

    booking = await async_db_session.get_one(Booking, response.json(), populate_existing=True)
    assert booking.confirmed


# --8<-- [end:overridden]
