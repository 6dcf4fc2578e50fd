"""A service that takes the caller's session."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from tickets.models import Order


async def guests_of(session: AsyncSession, show_id: int) -> list[str]:
    """The names on the list at the door."""
    guests = select(Order.guest).where(Order.show_id == show_id).order_by(Order.guest)
    return list(await session.scalars(guests))
