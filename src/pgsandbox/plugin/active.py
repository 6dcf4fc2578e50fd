"""What pgsandbox does in a test run of a project that configures it."""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pgsandbox import factories
from pgsandbox.config import Settings
from pgsandbox.errors import ConfigurationError, PgSandboxError
from pgsandbox.plugin import async_fixtures, fixtures, hidden_fixtures, reporting, serving_fixtures
from pgsandbox.plugin.coverage import Collector
from pgsandbox.plugin.engines import Engines
from pgsandbox.plugin.forked import Forked
from pgsandbox.plugin.marker import MARKER, Choice, choice_of
from pgsandbox.plugin.pg import Pg
from pgsandbox.plugin.preparation import Preparation
from pgsandbox.plugin.refused_hooks import RefusedHooks
from pgsandbox.plugin.reporting import RunSummary
from pgsandbox.plugin.scopes import Scopes
from pgsandbox.plugin.termination import Termination
from pgsandbox.plugin.told_once import ToldOnce
from pgsandbox.plugin.verdict import Verdict
from pgsandbox.sandbox.interceptor import ConnectionInterceptor
from pgsandbox.schema import coverage
from pgsandbox.wiring import Run

_FIXTURES = hidden_fixtures.NAMES | {"pgsandbox_live_server"}

_outliving: list[ConnectionInterceptor] = []
"""The interceptor of the run that has ended in this process, which refuses all to its end."""


def remove_last_guard() -> None:
    """Remove the interceptor of the last run, so that the next one's decides."""
    while _outliving:
        _outliving.pop().remove()


class ActivePlugin:
    """The hooks: each test that asks for the database begins and ends its sandbox here."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.run = Run(settings)
        self.engines = Engines(self.run)
        self.pg = Pg(self.run, self.engines)
        self.item: pytest.Item | None = None
        """The test that is in its sandbox now."""
        self._has_failed = False
        """Whether a phase of it has failed."""
        self._chosen: tuple[pytest.Item, Choice] | None = None
        """What the running test asks for."""
        self._below_paths: dict[Path, bool] = {}
        self._summary = RunSummary()
        self.preparation = Preparation(config, self.run, self._summary)
        self._verdict = Verdict(self.run, self._summary)
        self._collector = Collector() if settings.coverage else None
        self._termination = Termination()
        self._is_announced = False
        self.is_nested = False
        """Whether another run of pytest goes on in this process, whose end is not this one's."""
        self.scopes = Scopes(self)
        self.run.test.places.configure(settings.root, settings.paths, _packages(settings))
        self.run.test.running = "pytest loads the project's conftest files"
        self.run.interceptor.install()
        config.pluginmanager.register(fixtures, "pgsandbox-fixtures")
        config.pluginmanager.register(async_fixtures, "pgsandbox-async-fixtures")
        if not any(hasattr(each, "live_server") for each in config.pluginmanager.get_plugins()):
            config.pluginmanager.register(serving_fixtures, "pgsandbox-serving-fixtures")
        config.pluginmanager.register(Forked(), "pgsandbox-forked")
        places = self.run.test.places
        config.pluginmanager.register(ToldOnce(places), "pgsandbox-told-once")
        hooks = RefusedHooks(config, self._summary, places)
        config.pluginmanager.register(hooks, "pgsandbox-refused-hooks")
        config.pluginmanager.register(self.scopes, "pgsandbox-scopes")

    # -- the run ------------------------------------------------------------------------------

    def pytest_configure(self, config: pytest.Config) -> None:
        """Declare the marker, and learn which worker of pytest-xdist this is."""
        config.addinivalue_line("markers", MARKER)
        given = getattr(config, "workerinput", {})
        self.run.worker = given.get("workerid")
        self.run.uid = given.get("testrunuid", self.run.uid)
        self.run.test.running = "pytest starts, and calls the hooks of conftest files and plugins"
        if self.run.worker is None:
            self._termination.install()

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Find the server before anything is collected, where the tests to run will need it."""
        self.run.test.running = "pytest collects the tests"
        self.preparation.begin()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Let the tests with a database of their own come last, in the order that they had.

        The first of them closes the sandbox's connection, which any test after it would reopen.
        """
        with contextlib.suppress(ConfigurationError):  # said when the collection is finished
            items.sort(key=lambda item: self._choice(item).isolation == "clone")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Find the server now if a test needs it that nobody could foresee."""
        self.run.test.running = "no test is running"
        if not self.preparation.runs_tests:
            return
        is_controller = self.preparation.is_controller
        try:
            choices = [self._choice(item) for item in session.items]
            if not is_controller:
                self._summary.notes.extend(hidden_fixtures.lines(session.items))
            if any(choice.is_requested for choice in choices):
                self.preparation.complete()
                clones = sum(choice.isolation == "clone" for choice in choices)
                if clones and not is_controller:
                    self.run.clones.expect(clones)
        except PgSandboxError as error:
            raise self.preparation.usage_error(error) from error

    def pytest_report_header(self) -> list[str]:
        """Say which server, why, its version and the database's name."""
        lines = reporting.header(self.run, self.preparation.is_controller)
        self._is_announced = bool(lines)
        return lines

    def pytest_report_collectionfinish(self) -> list[str]:
        """Say the same here where the server was found after the header."""
        is_quiet = self.config.option.verbose < 0 or self.config.option.no_header
        return [] if self._is_announced or is_quiet else self.pytest_report_header()

    # -- one test -----------------------------------------------------------------------------

    def _choice(self, item: pytest.Item) -> Choice:
        if self._chosen is not None and self._chosen[0] is item:
            return self._chosen[1]
        choice = choice_of(item)
        asks = choice.is_marked or not _FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
        return choice.asking(asks or self._is_below_paths(item.path))

    def _is_below_paths(self, path: Path) -> bool:
        if path not in self._below_paths:
            found = any(path.is_relative_to(each) for each in self.settings.paths)
            self._below_paths[path] = found
        return self._below_paths[path]

    def enter(self, item: pytest.Item) -> None:
        """Begin the sandbox or the clone of *item*; do nothing if that is done already."""
        if self.item is item:
            return
        try:
            self.preparation.complete()
            choice = self._choice(item)
            if choice.isolation == "clone":
                self.run.clone()
        except PgSandboxError as error:
            raise self.failure(error) from None
        self.item = item
        self._has_failed = False
        looks = self._verdict.looks_for_uncommitted(choice)
        self.run.test.enter(item.nodeid, looks_for_uncommitted=looks)
        self._verdict.enter(choice)
        self.engines.show_url()
        self.use_session_of(item)

    def use_session_of(self, item: pytest.Item) -> None:
        """Let factories write into the session that *item* asks for."""
        if not hasattr(item, "_request"):  # an item of another kind has no fixtures
            return
        names = getattr(item, "fixturenames", ())
        if "async_db_session" in names and "db_session" not in names:
            source = functools.partial(_fixture, item, "async_db_session")
            factories.use_session_source(
                lambda: source().sync_session, self.engines.perform_in(source)
            )
        else:
            source = functools.partial(_fixture, item, "db_session")
            factories.use_session_source(source, self.engines.perform_for(source))

    def _leave(self) -> list[PgSandboxError]:
        """End the running test's transactions; return what must make it fail."""
        began = time.perf_counter()
        errors = self.scopes.take_errors()
        if self.item is None:
            self.run.test.fixture_data.restore()
        else:
            item, self.item = self.item, None
            factories.use_session_source(None)
            if self._collector is not None:
                self._collector.take_clones(self.run)
            errors.extend(self.run.test.leave())
            errors.extend(self._verdict.on_teardown(item, self._choice(item)))
            if self._collector is not None:
                self._collector.take(self.run)
            self._summary.figures.tests += self.run.is_used
            self.pg.close()
            try:
                errors.extend(self.run.clones.check_shared())
                is_kept = self.settings.keep and self._has_failed
                clones = self.run.drop_clones(keep=is_kept)
                self._summary.kept.extend(reporting.line_of_kept(url) for url in clones)
                errors.extend(self.run.heal())
            except PgSandboxError as error:
                self.preparation.unusable = error
                errors.append(error)
        self.run.test.running = "no test is running"
        self._summary.late.extend(reporting.line_of_late(each) for each in self.run.take_late())
        self._summary.figures.teardown += time.perf_counter() - began
        return errors

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Enter the sandbox before the test's fixtures are set up."""
        __tracebackhide__ = True
        began = time.perf_counter()
        self.run.test.begin(item.nodeid)
        self._chosen = None
        choice = self._choice(item)
        self._chosen = item, choice
        self.scopes.finish_stale(item, choice.isolation)
        factories.begin_test(item.nodeid, self.scopes.counted)
        if self.preparation.runs_tests and choice.is_requested:
            self.enter(item)
        self._summary.figures.setup += time.perf_counter() - began

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Fail a test that passed although its transaction did not hold."""
        __tracebackhide__ = True
        self._verdict.begin_body(item)
        try:
            result = yield
        finally:
            self._verdict.end_body()
        if getattr(item, "_excinfo", None):
            return result  # a unittest.TestCase that did not pass: pytest raises it afterwards
        is_entered = self.item is item
        error = self._verdict.on_body(item, self._choice(item), is_entered=is_entered)
        if error is not None:
            raise self.failure(error)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        """Leave the sandbox after the last of the test's fixtures is torn down."""
        __tracebackhide__ = True
        if self.item is item:
            self.run.test.begin_teardown()
        try:
            try:
                result = yield
            finally:
                self.scopes.finish_with_test()
        except BaseException as failed:
            for error in self._leave():
                failed.add_note(f"{type(error).__name__}: {error}")
            raise
        for error in self._leave():
            raise self.failure(error)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add what a failing test did with the database to its report."""
        report = yield
        if call.excinfo is not None and call.when != "setup":
            self.run.test.mark_reported(call.excinfo.value)
        self._has_failed = self._has_failed or report.failed
        if report.failed and self.item is item and call.excinfo is not None:
            verbosity = self.config.getoption("verbose")  # get_verbosity() is new in pytest 8
            failure = call.excinfo.value
            report.sections.extend(reporting.sections(self.run, failure, verbosity))
        if report.failed and call.excinfo is not None:
            report.sections.extend(reporting.refused(self.run, call.excinfo.value))
            report.sections.extend(
                reporting.explained(self.run, call.excinfo.value, self._verdict.left)
            )
        return report

    # -- the end ------------------------------------------------------------------------------

    def pytest_keyboard_interrupt(self) -> None:
        """Cancel what a thread of the interrupted test still runs, before fixtures wait for it."""
        self.run.test.begin_teardown(timeout=0)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Drop the run's databases, and send a worker's summary to the controller."""
        began = time.perf_counter()
        if self.preparation.is_controller and self.run.has_server:
            self.run.reap()  # what crashed workers left
        self._stop()
        self.run.test.running = (
            "pytest ends, and calls the last hooks of conftest files and plugins"
        )
        self._summary.figures.removal += time.perf_counter() - began
        output = getattr(self.config, "workeroutput", None)
        if output is not None:
            output["pgsandbox"] = self._summary.as_dict()
        elif reporting.is_below_threshold(self._summary, self.settings):
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add up what the workers did, and say what stopped one of them."""
        sent = getattr(node, "workeroutput", {}).get("pgsandbox")
        if sent:
            self._summary.add(sent)
            if self._summary.refusal:
                raise pytest.UsageError(self._summary.refusal)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say how many tests used the database, and what it cost."""
        reporting.summary(terminalreporter, self._summary)
        if self._summary.coverage:
            is_written = reporting.coverage_summary(terminalreporter, self._summary, self.settings)
            session = self.config.pluginmanager.get_plugin("session")
            if not is_written and session is not None:
                session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self) -> None:
        """Drop the run's databases if no session did, and go on refusing connections.

        A run inside of another one, as `pytester` starts it, leaves every engine alone again.
        """
        self._stop()
        self._verdict.remove()
        if self.is_nested:
            self.run.interceptor.remove()
        else:
            # It stays in the way of handlers at exit, of threads, of the last hooks.
            self.run.test.say("pytest has ended, and its process goes on", is_requested=False)
            _outliving.append(self.run.interceptor)
        self._termination.remove()
        for line in self._summary.problems:
            sys.stderr.write(f"pgsandbox: {line}\n")

    def _stop(self) -> None:
        self._leave()  # where the run was interrupted in a test
        self._measure()
        self.run.test.abandon_left()
        self.engines.dispose()
        if self.settings.keep:
            self._summary.kept.extend(reporting.lines_of_kept(self.run))
        self._summary.waits.extend(self.run.clones.waits)
        self._summary.notes.extend(self.run.notes)
        self._summary.late.extend(
            reporting.line_of_late(each) for each in self.run.take_late(at_end=True)
        )
        self._summary.problems.extend(
            f"{type(error).__name__}: {error}" for error in self.run.stop()
        )

    def _measure(self) -> None:
        """Measure the coverage of the schema, once, while its database is there."""
        collector, self._collector = self._collector, None
        if collector is None or not self.run.is_started:
            return
        try:
            self._summary.coverage = coverage.as_dicts(collector.measure(self.run))
        except Exception as error:  # noqa: BLE001 - a run is not lost for want of its figures
            self._summary.problems.append(f"schema coverage could not be measured: {error}")

    @staticmethod
    def failure(error: PgSandboxError) -> BaseException:
        """Return what makes a test fail with *error*, and without our own frames in its report."""
        return pytest.fail.Exception(f"{type(error).__name__}: {error}", pytrace=False)


def _packages(settings: Settings) -> set[str]:
    """Return the packages that the settings name, which are the project's also where installed."""
    named = [*settings.metadata, settings.app, settings.seed, settings.url]
    return {
        package
        for each in named
        if each and "://" not in each and (package := each.partition(":")[0].partition(".")[0])
    }


def _fixture(item: pytest.Item, name: str) -> Any:
    return item._request.getfixturevalue(name)  # type: ignore[attr-defined]  # pytest has no other way
