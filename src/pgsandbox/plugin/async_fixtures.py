"""The fixtures that tests of asynchronous code ask for.

They are synchronous fixtures, so that they need no plugin and no event loop: they work with
pytest-asyncio in any mode and loop scope, with anyio, and in a test that calls ``asyncio.run``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

    from pgsandbox.plugin.active import ActivePlugin


@pytest.fixture(scope="session")
def async_db_engine(_pgsandbox_run: ActivePlugin) -> AsyncEngine:
    """An asynchronous engine on the test database, for code under test that takes one.

    It is one engine for all tests and all event loops; what a test commits through it is gone after
    the test.
    """
    return _pgsandbox_run.engines.asynchronous(is_arranging=False)


@pytest.fixture
def async_db_session(
    request: pytest.FixtureRequest, _pgsandbox: ActivePlugin
) -> Iterator[AsyncSession]:
    """The test's own asynchronous session, for arranging and for asserting.

    The application sees what it flushed, and what it committed. It never stands in the
    application's way: what it flushed stays when the application commits after it.

    Where a fixture of a wider scope has called factories, it holds the objects that they made,
    unless the test asks for ``db_session`` as well, which holds them then.
    """
    is_second = "db_session" in request.fixturenames
    shared = None if is_second else _pgsandbox.scopes.shared_session
    with _pgsandbox.engines.async_session(shared) as session:
        yield session
