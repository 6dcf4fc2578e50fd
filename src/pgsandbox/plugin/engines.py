"""The kit's own engines on the test database, for its fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import create_engine
from sqlalchemy.engine import URL, Engine

from pgsandbox.errors import ConfigurationError, Fact
from pgsandbox.sandbox.drivers import asynchronous_of
from pgsandbox.wiring import DEFAULT, Run

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


class Engines:
    """Made when they are first asked for, and once for all tests of the run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._made: dict[bool, Engine] = {}
        self._asynchronous: dict[bool, AsyncEngine] = {}

    def synchronous(self, *, is_arranging: bool) -> Engine:
        """Return an engine by the driver of the application, whatever it is."""
        if is_arranging not in self._made:
            url = self._url()
            if url.get_driver_name() == "asyncpg":
                from pgsandbox.sandbox.blocking import blocking_engine

                engine = blocking_engine(url)
            else:
                engine = create_engine(url)
            if is_arranging:
                self._run.door.arrange_with(engine)
            self._made[is_arranging] = engine
        return self._made[is_arranging]

    def asynchronous(self, *, is_arranging: bool) -> AsyncEngine:
        """Return an asynchronous engine by the driver of the application.

        Raises:
            ConfigurationError: that driver has no asynchronous side.
        """
        if is_arranging not in self._asynchronous:
            from sqlalchemy.ext.asyncio import create_async_engine

            url = self._url()
            driver = asynchronous_of(url.get_driver_name())
            if driver is None:
                raise ConfigurationError(
                    f"The test asks for an asynchronous session, and the driver of the setting url "
                    f"is {url.get_driver_name()}, which is synchronous.",
                    facts=[Fact("url", url.render_as_string())],
                    remedy=(
                        "Name the application's own driver in the setting url: "
                        "postgresql+asyncpg:// or postgresql+psycopg://."
                    ),
                )
            engine = create_async_engine(url)
            if is_arranging:
                self._run.door.arrange_with(engine.sync_engine)
            self._asynchronous[is_arranging] = engine
        return self._asynchronous[is_arranging]

    def dispose(self) -> None:
        """Close what their pools hold, which is nothing that would need an event loop."""
        for engine in self._made.values():
            engine.dispose()
        for asynchronous in self._asynchronous.values():
            asynchronous.sync_engine.dispose(close=False)
        self._made.clear()
        self._asynchronous.clear()

    def _url(self) -> URL:
        return self._run.homes[DEFAULT].enclosure.url
