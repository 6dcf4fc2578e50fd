"""What pgsandbox does in a test run of a project that configures it."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine

from pgsandbox import factories
from pgsandbox.config import Settings
from pgsandbox.errors import ConfigurationError, Fact, NotInSandbox, PgSandboxError
from pgsandbox.plugin import fixtures, reporting
from pgsandbox.plugin.marker import MARKER, Choice, choice_of
from pgsandbox.plugin.reporting import Figures
from pgsandbox.wiring import Run

_FIXTURES = frozenset({"db_session", "db_connection", "db_engine", "pg"})


class ActivePlugin:
    """Brings each test that asks for the database into its sandbox, and out of it again."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.figures = Figures()
        worker = getattr(config, "workerinput", {}).get("workerid")
        self.run = Run(settings, worker=worker)
        self.item: pytest.Item | None = None
        """The test that is in its sandbox now."""
        self._engines: dict[str, Engine] = {}
        self._kept: list[str] = []
        self.run.door.running = "pytest loads the project's conftest files"
        self.run.door.install()
        config.pluginmanager.register(fixtures, "pgsandbox-fixtures")

    # -- the run ------------------------------------------------------------------------------

    def pytest_configure(self, config: pytest.Config) -> None:
        """Declare the marker."""
        config.addinivalue_line("markers", MARKER)

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Find the server before anything is collected, where the tests to run will need it."""
        self.run.door.running = "pytest collects the tests"
        if not self.config.option.collectonly and self._will_need_database():
            self._start()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Find the server now if a test needs it that nobody could foresee."""
        self.run.door.running = "no test is running"
        if self.config.option.collectonly:
            return
        if any(self._choice(item).is_requested for item in session.items):
            self._start()

    def pytest_report_header(self) -> list[str]:
        """Say which server, why, its version and the database's name."""
        return reporting.header(self.run, self.is_controller)

    def pytest_unconfigure(self) -> None:
        """Leave nothing behind."""
        self.run.door.remove()
        for engine in self._engines.values():
            engine.dispose()
        self.run.stop()

    @property
    def is_controller(self) -> bool:
        """Whether workers of pytest-xdist run the tests, and this process none."""
        dist = getattr(self.config.option, "dist", "no")
        return dist != "no" and not hasattr(self.config, "workerinput")

    def _start(self) -> None:
        began = time.perf_counter()
        try:
            if self.is_controller:
                self.run.find_server()
            else:
                self.run.start()
        except PgSandboxError as error:
            raise pytest.UsageError(f"{type(error).__name__}: {error}") from error
        self.figures.preparation += time.perf_counter() - began

    def _will_need_database(self) -> bool:
        """Whether an argument of the command line lies above or below one of `paths`."""
        start = self.config.invocation_params.dir
        arguments = [(start / str(each).split("::")[0]).resolve() for each in self.config.args]
        return any(
            path.exists() and (path.is_relative_to(each) or each.is_relative_to(path))
            for path in self.settings.paths
            for each in arguments
        )

    # -- one test -----------------------------------------------------------------------------

    def _choice(self, item: pytest.Item) -> Choice:
        choice = choice_of(item)
        asks = choice.is_marked or not _FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
        return choice.asking(asks or self._is_below_paths(item.path))

    def _is_below_paths(self, path: Path) -> bool:
        return any(path.is_relative_to(each) for each in self.settings.paths)

    def enter(self, item: pytest.Item) -> None:
        """Let *item* open the database from here to its end; nothing if it may already."""
        if self.item is item:
            return
        choice = self._choice(item)
        if choice.isolation == "clone":
            raise NotInSandbox(
                "Clone isolation is not part of this version of pgsandbox.",
                facts=[Fact("test", item.nodeid)],
                remedy='Remove isolation="clone" from the test\'s marker.',
            )
        self._start()
        self.item = item
        self.figures.tests += 1
        self.run.door.enter(item.nodeid)
        factories.begin_test(item.nodeid)
        factories.use_session_source(lambda: _fixture(item, "db_session"))

    def leave(self) -> list[PgSandboxError]:
        """End the running test's transactions; return what must make it fail."""
        if self.item is None:
            return []
        self.item = None
        factories.use_session_source(None)
        errors = self.run.door.leave()
        self.run.heal()
        return errors

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        """Enter the sandbox before the test's fixtures are set up."""
        began = time.perf_counter()
        self.run.door.running = item.nodeid
        self.run.door.refused.clear()
        if self._choice(item).is_requested:
            self.enter(item)
        self.figures.setup += time.perf_counter() - began
        return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Fail a test that passed although its transaction did not hold."""
        result = yield
        errors = self.run.door.verdict()
        if errors:
            raise errors[0]
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        """Leave the sandbox after the last of the test's fixtures is torn down."""
        self.run.door.wind_down()
        try:
            return (yield)
        finally:
            began = time.perf_counter()
            errors = self.leave()
            self.run.door.running = "no test is running"
            self.figures.teardown += time.perf_counter() - began
            if errors:
                raise errors[0]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add what a failing test did with the database to its report."""
        report = yield
        if call.excinfo is not None and call.when != "setup":
            self.run.door.mark_reported(call.excinfo.value)
        if report.failed and self.item is item:
            report.sections.extend(reporting.sections(self.run))
        return report

    # -- the end ------------------------------------------------------------------------------

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send a worker's figures to the controller, and remember what stays."""
        if self.settings.keep and self.run.homes:
            self._kept = reporting.kept(self.run)
        output = getattr(self.config, "workeroutput", None)
        if output is not None:
            output["pgsandbox"] = {"figures": self.figures.as_dict(), "kept": self._kept}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add up what the workers did."""
        sent = getattr(node, "workeroutput", {}).get("pgsandbox")
        if sent:
            self.figures.add(sent["figures"])
            self._kept.extend(sent["kept"])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say how many tests used the database, and what it cost."""
        reporting.summary(terminalreporter, self.figures, self._kept)

    # -- engines ------------------------------------------------------------------------------

    def engine(self, *, is_arranging: bool) -> Engine:
        """Return the kit's own engine on the test database, made once."""
        name = "arranging" if is_arranging else "plain"
        if name not in self._engines:
            engine = create_engine(self.run.url_of())
            if engine.dialect.is_async:
                raise ConfigurationError(
                    "db_session needs a synchronous driver, and the setting url names "
                    f"{engine.dialect.driver}.",
                    remedy="Use async_db_session, or postgresql+psycopg in the setting url.",
                )
            if is_arranging:
                self.run.door.arrange_with(engine)
            self._engines[name] = engine
        return self._engines[name]


def _fixture(item: pytest.Item, name: str) -> Any:
    return item._request.getfixturevalue(name)  # type: ignore[attr-defined]  # pytest has no other way
