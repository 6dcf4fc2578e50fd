"""The kit's own engines on the test database, for its fixtures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import create_engine
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.orm import Session

from pgsandbox.errors import ConfigurationError, Fact
from pgsandbox.sandbox import cleanup
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

    present_engine: Engine | None = None
    """The engine to use at the moment, instead of the one that it was made with."""

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        """Return the engine that the present caller can use."""
        return self.present_engine or super().get_bind(*args, **kwargs)


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
                self._run.judge.arrange_with(engine)
            self._made[is_arranging] = engine
            self.show_url()
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
                judge = self._run.judge
                judge.arrange_with(engine.sync_engine, shares_with=self._beside)
                judge.arrange_with(self._beside, shares_with=engine.sync_engine)
            self._asynchronous[is_arranging] = engine
            self.show_url()
        return self._asynchronous[is_arranging]

    def show_url(self) -> None:
        """Let the engines have the URL by which another process joins the running test.

        They connect by the one that they were made with, and each connection goes where it has to.
        """
        if not (self._made or self._asynchronous):
            return
        joins = self._run.test_url()
        synchronous = [each.sync_engine for each in self._asynchronous.values()]
        for engine in (*self._made.values(), *synchronous):
            driver = engine.url.drivername
            if self._run.test.is_in_clone:
                engine.url = self._run.find_server().url_of(joins.database or "", driver)
            else:
                engine.url = joins.set(drivername=driver)

    @contextlib.contextmanager
    def async_session(self, shared: ArrangingSession | None) -> Iterator[AsyncSession]:
        """Give the test's own asynchronous session; around *shared*, if factories used that before.

        Raises:
            ConfigurationError: the driver has no asynchronous side.
        """
        from sqlalchemy.ext.asyncio import AsyncSession

        engine = self.asynchronous(is_arranging=True)
        inner = shared or ArrangingSession(engine.sync_engine)
        inner.present_engine = engine.sync_engine
        inner.expire_on_commit = False  # or the next look at an object would have to await
        try:
            yield AsyncSession(engine, sync_session_class=cast(Any, lambda **_: inner))
        finally:
            cleanup.close_session(inner, in_clone=self._run.test.is_in_clone)
            inner.present_engine = None
            inner.expire_on_commit = True

    def perform_in(
        self, find_session: Callable[[], AsyncSession]
    ) -> Callable[[Callable[[], Any]], Any]:
        """Return what makes a call that writes into an asynchronous session, without awaiting."""

        def perform(call: Callable[[], T]) -> T:
            session: Any = find_session().sync_session
            if session.present_engine is self._beside:
                return call()
            before, session.present_engine = session.present_engine, self._beside
            try:
                return self._made_for_all(call, session)
            finally:
                session.present_engine = before

        return perform

    def perform_for(
        self, find_session: Callable[[], Session]
    ) -> Callable[[Callable[[], Any]], Any]:
        """Return what makes a call that writes into a session, for all to see."""
        depth = 0

        def perform(call: Callable[[], T]) -> T:
            nonlocal depth
            if depth or not self._run.test.is_in_clone:
                return call()
            depth += 1
            try:
                return self._made_for_all(call, find_session())
            finally:
                depth -= 1

        return perform

    def _made_for_all(self, call: Callable[[], T], session: Session) -> T:
        """Return what *call* makes, committed where other connections would not see it otherwise.

        In a clone they are connections to a real database. The session knows nothing of it, so that
        nothing expires, and a block that has begun its transaction goes on.
        """
        made = call()
        if self._run.test.is_in_clone and not session.in_nested_transaction():
            session.connection().connection.commit()
        return made

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
