"""The fixtures that tests ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session

from pgsandbox.plugin.clock import Clock
from pgsandbox.plugin.pg import Pg
from pgsandbox.plugin.serving import LiveServer
from pgsandbox.sandbox import cleanup

if TYPE_CHECKING:
    from pgsandbox.factory_checks import FactoryChecks
    from pgsandbox.migration_checks import MigrationChecks
    from pgsandbox.plugin.active import ActivePlugin
    from pgsandbox.schema.checks import MigrationRows


@pytest.fixture(scope="session")
def _pgsandbox_run(request: pytest.FixtureRequest) -> ActivePlugin:
    """The active plugin, with its databases there."""
    plugin: ActivePlugin = request.config.pluginmanager.getplugin("pgsandbox-active")
    plugin.preparation.complete()
    return plugin


@pytest.fixture
def _pgsandbox(request: pytest.FixtureRequest, _pgsandbox_run: ActivePlugin) -> ActivePlugin:
    """The active plugin, with the requesting test in its sandbox."""
    _pgsandbox_run.enter(request.node)
    return _pgsandbox_run


@pytest.fixture(scope="session")
def db_engine(_pgsandbox_run: ActivePlugin) -> Engine:
    """An engine on the test database, for code under test that takes an engine.

    It is one engine for all tests; what a test commits through it is gone after the test. Its
    ``url`` is what ``pg.url`` says, so that another process which is given it joins the test.
    """
    return _pgsandbox_run.engines.synchronous(is_arranging=False)


@pytest.fixture
def db_connection(
    request: pytest.FixtureRequest, _pgsandbox_run: ActivePlugin
) -> Iterator[Connection]:
    """The test's own Core connection, for arranging and for asserting."""
    _pgsandbox_run.enter(request.node)
    connection = _pgsandbox_run.engines.synchronous(is_arranging=True).connect()
    yield connection
    cleanup.close_connection(connection, in_clone=_pgsandbox_run.run.test.is_in_clone)


@pytest.fixture
def db_session(request: pytest.FixtureRequest, _pgsandbox_run: ActivePlugin) -> Iterator[Session]:
    """The test's own session, for arranging and for asserting; factories write into it.

    The application sees what it flushed, and what it committed. It never stands in the
    application's way: what it flushed stays when the application commits after it.

    Where a fixture of a wider scope has called factories, it is the session that they wrote into.
    """
    # Not by way of _pgsandbox: each fixture of a test costs what a round trip to the server does.
    _pgsandbox_run.enter(request.node)
    if _pgsandbox_run.scopes.shared_session is not None:
        yield _pgsandbox_run.scopes.shared_session
        return
    session = Session(_pgsandbox_run.engines.synchronous(is_arranging=True))
    yield session
    cleanup.close_session(session, in_clone=_pgsandbox_run.run.test.is_in_clone)


@pytest.fixture(scope="session")
def pg(_pgsandbox_run: ActivePlugin) -> Pg:
    """The test database: its URL, its server, a look from outside, the statements of this test.

    It is one object for all tests, so that a fixture of any scope can ask it for the URL; what it
    says of statements is always the running test's.
    """
    return _pgsandbox_run.pg


@pytest.fixture
def db_clock(request: pytest.FixtureRequest, _pgsandbox_run: ActivePlugin) -> Clock:
    """The database's clock, with the setting ``clock = "moving"``: set it, advance it.

    ``now()``, ``CURRENT_TIMESTAMP`` and column defaults made of them are what it says. It goes with
    the world's until a test sets it, and does so again after that test.
    """
    _pgsandbox_run.enter(request.node)
    return Clock(_pgsandbox_run.run)


@pytest.fixture(scope="session")
def pgsandbox_app(_pgsandbox_run: ActivePlugin) -> Any:
    """The application that the setting ``app`` names; None without it."""
    return _pgsandbox_run.run.project.app


@pytest.fixture
def pgsandbox_live_server(
    request: pytest.FixtureRequest, _pgsandbox: ActivePlugin
) -> Iterator[LiveServer]:
    """The same as ``live_server``, also where another plugin has taken that name."""
    server = LiveServer(_served_application(request))
    yield server
    server.stop()


def _served_application(request: pytest.FixtureRequest) -> Any:
    """Return what the project's fixture ``app`` returns, otherwise ``pgsandbox_app``.

    It is asked for here and now, so that its teardown comes after the server's.
    """
    try:
        return request.getfixturevalue("app")
    except pytest.FixtureLookupError as error:
        if error.argname != "app":
            raise
    return request.getfixturevalue("pgsandbox_app")


@pytest.fixture
def pgsandbox_migration_rows() -> Sequence[MigrationRows]:
    """Rows that have to survive the migrations; a project overrides it to give some."""
    return ()


@pytest.fixture
def pgsandbox_migrations(_pgsandbox_run: ActivePlugin) -> MigrationChecks:
    """The checks that ``plugin.migration_tests`` makes."""
    from pgsandbox.migration_checks import MigrationChecks  # Alembic is optional

    return MigrationChecks(_pgsandbox_run.run)


@pytest.fixture
def pgsandbox_factories(_pgsandbox_run: ActivePlugin, db_connection: Connection) -> FactoryChecks:
    """The check that ``plugin.factory_tests`` makes, in the sandbox of the test."""
    from pgsandbox.factory_checks import FactoryChecks  # Factory Boy takes long to import

    return FactoryChecks(_pgsandbox_run.run, db_connection, {})
