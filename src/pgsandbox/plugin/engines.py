"""The kit's own engines on the test database, for its fixtures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import create_engine
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.orm import Session

from pgsandbox.errors import ConfigurationError, Fact
from pgsandbox.sandbox.driver_connections import asynchronous_of
from pgsandbox.wiring import DEFAULT, Run

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

T = TypeVar("T")


class ArrangingSession(Session):
    """What an `AsyncSession` of the test's own works with.

    Factories can't await. While one makes an object, the session uses an engine that blocks, whose
    connection shares the transaction of the asynchronous one.
    """

    blocking_engine: Engine | None = None
    """The engine to use at the moment, instead of the asynchronous one."""

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        """Return the engine that the present caller can use."""
        return self.blocking_engine or super().get_bind(*args, **kwargs)


class Engines:
    """Made when they are first asked for, and once for all tests of the run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._made: dict[bool, Engine] = {}
        self._asynchronous: dict[bool, AsyncEngine] = {}
        self._beside: Engine | None = None

    def synchronous(self, *, is_arranging: bool) -> Engine:
        """Return an engine by the driver of the application, or psycopg2 if that can't block."""
        if is_arranging not in self._made:
            engine = create_engine(self._blocking_url())
            if is_arranging:
                self._run.interceptor.arrange_with(engine)
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
                self._beside = create_engine(self._psycopg2_url())
                interceptor = self._run.interceptor
                interceptor.arrange_with(engine.sync_engine, shares_with=self._beside)
                interceptor.arrange_with(self._beside, shares_with=engine.sync_engine)
            self._asynchronous[is_arranging] = engine
        return self._asynchronous[is_arranging]

    def perform_in(
        self, find_session: Callable[[], AsyncSession]
    ) -> Callable[[Callable[[], Any]], Any]:
        """Return what makes a call that writes into an asynchronous session, without awaiting."""

        def perform(call: Callable[[], T]) -> T:
            session: Any = find_session().sync_session
            if session.blocking_engine is not None:
                return call()
            session.blocking_engine = self._beside
            try:
                made = call()
                if self._run.run_databases[DEFAULT].database.clone is not None:
                    # Two connections to a real database: the other one sees what is committed.
                    session.connection().connection.commit()
                return made
            finally:
                session.blocking_engine = None

        return perform

    def dispose(self) -> None:
        """Close what their pools hold, which is nothing that would need an event loop."""
        for engine in (*self._made.values(), *([self._beside] if self._beside else [])):
            engine.dispose()
        for asynchronous in self._asynchronous.values():
            asynchronous.sync_engine.dispose(close=False)
        self._made.clear()
        self._asynchronous.clear()
        self._beside = None

    def _url(self) -> URL:
        return self._run.run_databases[DEFAULT].database.url

    def _blocking_url(self) -> URL:
        url = self._url()
        if url.get_driver_name() == "asyncpg":
            return self._psycopg2_url()
        return url

    def _psycopg2_url(self) -> URL:
        return self._run.find_server().url_of(self._url().database or "")
