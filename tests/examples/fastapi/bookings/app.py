"""The application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import func, select

from bookings.database import engine, get_db, new_session
from bookings.models import Booking, Room


# --8<-- [start:lifespan]
@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Read the number of beds when the server starts, and close the pool when it ends."""
    async with new_session() as session:
        app.state.beds = await session.scalar(select(func.sum(Room.beds))) or 0
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.get("/beds")
async def beds() -> int:
    """The number of beds as it was when the server started."""
    return app.state.beds


# --8<-- [end:lifespan]


# --8<-- [start:confirm]
async def confirm(booking_id: int) -> None:
    """Confirm a booking once its request is answered, in a session of its own."""
    async with new_session() as session:
        booking = await session.get_one(Booking, booking_id)
        booking.confirmed = True
        await session.commit()


# --8<-- [end:confirm]


# --8<-- [start:book]
@app.post("/rooms/{name}/bookings", status_code=201)
async def book(
    name: str,
    guest: str,
    session: Annotated[AsyncSession, Depends(get_db)],
    background: BackgroundTasks,
) -> int:
    """Book a room; 404 if there is none of that name, 409 if the guest has a booking."""
    room_id = await session.scalar(select(Room.id).where(Room.name == name))
    if room_id is None:
        raise HTTPException(404)
    booking = Booking(room_id=room_id, guest=guest)
    session.add(booking)
    try:
        await session.commit()
    except IntegrityError as error:
        raise HTTPException(409) from error
    background.add_task(confirm, booking.id)
    return booking.id


# --8<-- [end:book]
