"""An ASGI application with one endpoint: ``POST /shows/<title>/orders/<guest>``."""

from contextlib import asynccontextmanager

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from tickets.database import session_of_request
from tickets.models import Order, Show


async def order(session: AsyncSession, title: str, guest: str) -> int:
    """Take a seat, and return the status of the answer."""
    taken = update(Show).where(Show.title == title).values(seats=Show.seats - 1)
    try:
        show_id = await session.scalar(taken.returning(Show.id))
    except IntegrityError:
        await session.rollback()
        return 409
    if show_id is None:
        return 404
    session.add(Order(guest=guest, show_id=show_id))
    await session.commit()
    return 201


async def app(scope, receive, send):
    """Answer one request."""
    _, title, _, guest = scope["path"].strip("/").split("/")
    async with asynccontextmanager(session_of_request)() as session:
        status = await order(session, title, guest)
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})
