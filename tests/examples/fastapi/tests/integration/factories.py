"""A factory for each table."""

# --8<-- [start:factories]
import factory
from bookings.models import Booking, Room

from pgsandbox.factories import Factory


class RoomFactory(Factory):
    """A room with two beds."""

    class Meta:
        model = Room

    name = factory.Sequence(lambda n: f"room-{n}")
    beds = 2


class BookingFactory(Factory):
    """A booking of a room of its own, unless it is given one."""

    class Meta:
        model = Booking

    class Params:
        room = factory.SubFactory(RoomFactory)

    room_id = factory.SelfAttribute("room.id")
    guest = factory.Sequence(lambda n: f"guest-{n}")


# --8<-- [end:factories]
