"""The application from its request to its rows."""

# --8<-- [start:booked]
import pytest
from bookings.models import Booking
from sqlmodel import select

from tests.integration.factories import BookingFactory, RoomFactory


@pytest.mark.anyio
async def test_a_room_is_booked(client, async_db_session):
    """The endpoint commits on its own engine, and the test reads what it stored."""
    room = RoomFactory(name="tower")

    response = await client.post("/rooms/tower/bookings", params={"guest": "Ada"})

    assert response.status_code == 201
    booking = await async_db_session.get_one(Booking, response.json())
    assert (booking.room_id, booking.guest) == (room.id, "Ada")


# --8<-- [end:booked]


# --8<-- [start:taken]
@pytest.mark.anyio
async def test_a_guest_books_once(client, async_db_session):
    """What the database refuses is the application's to undo; the test's rows stay."""
    BookingFactory(guest="Ada", room=RoomFactory(name="tower"))

    response = await client.post("/rooms/tower/bookings", params={"guest": "Ada"})

    assert response.status_code == 409
    assert len((await async_db_session.scalars(select(Booking))).all()) == 1


# --8<-- [end:taken]


# --8<-- [start:background]
@pytest.mark.anyio
async def test_a_booking_is_confirmed_afterwards(client, async_db_session):
    """The client returns when background tasks have ended, so their commits are there."""
    RoomFactory(name="tower")

    await client.post("/rooms/tower/bookings", params={"guest": "Ada"})

    assert await async_db_session.scalar(select(Booking.confirmed)) is True


# --8<-- [end:background]
