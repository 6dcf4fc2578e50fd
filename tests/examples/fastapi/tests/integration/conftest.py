"""The clients of the tests."""

# --8<-- [start:client]
import httpx
import pytest
from bookings.app import app


@pytest.fixture
def anyio_backend():
    """SQLAlchemy's asynchronous side is asyncio's."""
    return "asyncio"


@pytest.fixture
async def client():
    """The application in the test's own event loop, without a network."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


# --8<-- [end:client]
