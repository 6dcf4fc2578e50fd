"""The application by a client that blocks."""

# --8<-- [start:testclient]
from bookings.app import app
from bookings.models import Booking
from fastapi.testclient import TestClient
from sqlmodel import select

from tests.integration.factories import RoomFactory


def test_the_same_without_await(db_session):
    """TestClient has an event loop of its own; the test is a function like any other."""
    RoomFactory(name="tower")

    response = TestClient(app).post("/rooms/tower/bookings", params={"guest": "Ada"})

    assert response.status_code == 201
    assert db_session.scalar(select(Booking.guest)) == "Ada"


# --8<-- [end:testclient]


# --8<-- [start:lifespan]
def test_the_beds_are_counted_at_the_start(pg):
    """In a with block TestClient runs the lifespan, which finds the rows that the test made."""
    RoomFactory.create_batch(3, beds=2)

    with TestClient(app) as client:
        assert client.get("/beds").json() == 6


# --8<-- [end:lifespan]
