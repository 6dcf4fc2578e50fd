"""The tables."""

from sqlmodel import Field, SQLModel


# --8<-- [start:models]
class Room(SQLModel, table=True):
    """A room that can be booked, so many times."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    beds: int


class Booking(SQLModel, table=True):
    """One guest in one room."""

    id: int | None = Field(default=None, primary_key=True)
    room_id: int = Field(foreign_key="room.id")
    guest: str = Field(unique=True)
    confirmed: bool = False


# --8<-- [end:models]
