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
from pgsandbox.config.kinds import Repetitions
from pgsandbox.errors import ConfigurationError, PgSandboxError
from pgsandbox.plugin import async_fixtures, fixtures, hidden_fixtures, reporting, serving_fixtures
from pgsandbox.plugin.coverage import Collector
from pgsandbox.plugin.engines import Engines
from pgsandbox.plugin.forked import Forked
from pgsandbox.plugin.held_values import held_by
from pgsandbox.plugin.marker import MARKER, Choice, choice_of
from pgsandbox.plugin.pending_tasks import PendingTasks
from pgsandbox.plugin.pg import Pg
from pgsandbox.plugin.refused_hooks import RefusedHooks
from pgsandbox.plugin.reporting import RunSummary
from pgsandbox.plugin.scopes import Scopes
from pgsandbox.plugin.termination import Termination
from pgsandbox.plugin.told_once import ToldOnce
from pgsandbox.sandbox.interceptor import ConnectionInterceptor
from pgsandbox.sandbox.repeated_queries import RepetitionWatch
from pgsandbox.sandbox.uncommitted import Found
from pgsandbox.schema import coverage
from pgsandbox.wiring import Run

_FIXTURES = hidden_fixtures.NAMES | {"pgsandbox_live_server"}
_LOOKS = ("collectonly", "showfixtures", "show_fixtures_per_test", "cacheshow", "setupplan")
"""Options with which pytest shows something and runs no test."""


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
        self._tasks = PendingTasks(self.run.test.loops)
        self._left: list[str] = []
        """The tasks that the running test's body has left."""
        self._found: list[Found] = []
        """What the running test's application has not committed."""
        self._chosen: tuple[pytest.Item, Choice] | None = None
        """What the running test asks for."""
        self._below_paths: dict[Path, bool] = {}
        self._summary = RunSummary()
        self._repetitions = RepetitionWatch(self.run.judge.is_arranging)
        self._collector = Collector() if settings.coverage else None
        self._termination = Termination()
        self._is_announced = False
        self.is_nested = False
        """Whether another run of pytest goes on in this process, whose end is not this one's."""
        self._unusable: PgSandboxError | None = None
        """Why there is no database, once that is known."""
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
        # A worker of pytest-xdist has nobody yet to tell what is wrong.
        if self.run.worker is None and self._runs_tests() and self._will_need_database():
            try:
                self.prepare()
            except PgSandboxError as error:
                if not isinstance(error, ConfigurationError) or not self._has_conftests_to_come():
                    raise self._usage_error(error) from error
                self._unusable = None  # when they are loaded, it is tried again

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
        if not self._runs_tests():
            return
        try:
            choices = [self._choice(item) for item in session.items]
        except ConfigurationError as error:
            raise self._usage_error(error) from error
        if not self.is_controller:
            self._summary.notes.extend(hidden_fixtures.lines(session.items))
        if any(choice.is_requested for choice in choices):
            self._start()
            clones = sum(choice.isolation == "clone" for choice in choices)
            if clones and not self.is_controller:
                self.run.clones.expect(clones)

    def pytest_report_header(self) -> list[str]:
        """Say which server, why, its version and the database's name."""
        lines = reporting.header(self.run, self.is_controller)
        self._is_announced = bool(lines)
        return lines

    def pytest_report_collectionfinish(self) -> list[str]:
        """Say the same here where the server was found after the header."""
        is_quiet = self.config.option.verbose < 0 or self.config.option.no_header
        return [] if self._is_announced or is_quiet else self.pytest_report_header()

    @property
    def is_controller(self) -> bool:
        """Whether workers of pytest-xdist run the tests, and this process none."""
        dist = getattr(self.config.option, "dist", "no")
        return dist != "no" and self.run.worker is None

    def _start(self) -> None:
        try:
            self.prepare()
        except PgSandboxError as error:
            raise self._usage_error(error) from error

    def prepare(self) -> None:
        """Find the server and create the databases, unless that is done.

        Raises:
            PgSandboxError: it can't be done; the same again whenever it is tried.
        """
        if self._unusable is not None:
            raise self._unusable.with_traceback(None)
        if self.run.is_started or (self.is_controller and self.run.has_server):
            return
        began = time.perf_counter()
        try:
            if self.run.worker is None:
                self.run.require_connections(self._processes())
            if self.is_controller:
                self.run.find_server()
            else:
                self.run.start()
        except PgSandboxError as error:
            self._unusable = error
            raise
        finally:
            self._summary.figures.preparation += time.perf_counter() - began

    def _processes(self) -> int:
        """How many processes run tests: the workers of pytest-xdist, or this one alone."""
        asked: list[str] = getattr(self.config.option, "tx", None) or []
        if not self.is_controller:
            return 1
        # "popen" for each, or "4*popen" (xdist.workermanage.parse_spec_config).
        counts = [each.partition("*") for each in asked]
        return sum(int(first) if star else 1 for first, star, _ in counts) or 1

    def _usage_error(self, error: PgSandboxError) -> pytest.UsageError:
        text = f"{type(error).__name__}: {error}"
        if self.run.worker is None:
            return pytest.UsageError(text)
        # The controller says it, once for all workers; pytest prints each of the arguments.
        self._summary.refusal = text
        return pytest.UsageError()

    def _runs_tests(self) -> bool:
        return not any(getattr(self.config.option, name, False) for name in _LOOKS)

    def _will_need_database(self) -> bool:
        """Whether an argument of the command line lies above or below one of `paths`."""
        start = self.config.invocation_params.dir
        arguments = [(start / str(each).split("::")[0]).resolve() for each in self.config.args]
        return any(
            argument.is_relative_to(path) or path.is_relative_to(argument)
            for path in self.settings.paths
            for argument in arguments
            if path.exists() and argument.exists()
        )

    def _has_conftests_to_come(self) -> bool:
        """Whether one below `paths` is not loaded yet, which may set what an import needs.

        Before the collection pytest loads those of the arguments, and one folder below them.
        """
        plugins = self.config.pluginmanager.get_plugins()
        loaded = {getattr(each, "__file__", None) for each in plugins}
        files = [each / "conftest.py" for each in self.settings.paths]
        return any(each.is_file() and str(each) not in loaded for each in files)

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
            self.prepare()
            if self._choice(item).isolation == "clone":
                self.run.clone()
        except PgSandboxError as error:
            raise self.failure(error) from None
        self.item = item
        self._has_failed = False
        self._found = []
        looks = self._of_uncommitted(item) != "ignore"
        self.run.test.enter(item.nodeid, looks_for_uncommitted=looks)
        self._repetitions.begin(self._repetitions_of(item).limit)
        self.use_session_of(item)

    def _repetitions_of(self, item: pytest.Item) -> Repetitions:
        """How often one line may send the same statement in *item*."""
        return self._choice(item).repeated_queries or self.settings.repeated_queries

    def _report_repetitions(self, item: pytest.Item) -> None:
        """Fail *item*, or name it in the summary, if a line has sent a statement too often."""
        found = self._repetitions.take()
        wanted = self._repetitions_of(item)
        if found and wanted.action == "fail":
            source = self.settings.source_of("repeated-queries")
            is_marked = self._choice(item).repeated_queries is not None
            source = "the marker pgsandbox" if is_marked else source
            raise self.failure(found[0].as_error(item.nodeid, wanted.limit, source))
        self._summary.repeated.extend((each.in_short, each.count, item.nodeid) for each in found)

    def use_session_of(self, item: pytest.Item) -> None:
        """Let factories write into the session of *item*."""
        if hasattr(item, "_request"):  # an item of another kind has no fixtures
            self._arrange_for(item)

    def _arrange_for(self, item: pytest.Item) -> None:
        """Let factories write into the session that *item* asks for."""
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
            errors.extend(self._not_committed(item))
            if self._collector is not None:
                self._collector.take(self.run)
            self._summary.figures.tests += self.run.is_used
            self.pg.close()
            try:
                errors.extend(self.run.clones.check_shared())
                is_kept = self.settings.keep and self._has_failed
                clones = self.run.drop_clones(keep=is_kept)
                self._summary.kept.extend(reporting.line_of_kept(url) for url in clones)
                self.run.heal()
            except PgSandboxError as error:
                self._unusable = error
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
        if self._runs_tests() and choice.is_requested:
            self.enter(item)
        self._summary.figures.setup += time.perf_counter() - began

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Fail a test that passed although its transaction did not hold."""
        __tracebackhide__ = True
        self._tasks.begin(getattr(item, "funcargs", {}).values())
        self._left = []
        try:
            result = yield
        finally:
            self._left = self._tasks.left()
        errors = self.run.test.check() if self.item is item else []
        if errors:
            raise self.failure(errors[0])
        if self.item is item:
            self._found = self.run.test.uncommitted(functools.partial(held_by, item))
        swallowed = reporting.swallowed(self.run, item.path)
        if swallowed and self.settings.swallowed_refusals == "fail":
            raise self.failure(swallowed[0])
        if swallowed and self.settings.swallowed_refusals == "warn":
            self._summary.swallowed.append(reporting.line_of_swallowed(item.nodeid, swallowed[0]))
        if self._left:
            self._summary.pending.append(f"{item.nodeid} ({'; '.join(self._left)})")
        if self.item is item:
            self._report_repetitions(item)
        return result

    def _of_uncommitted(self, item: pytest.Item) -> str:
        return self._choice(item).uncommitted or self.settings.uncommitted

    def _not_committed(self, item: pytest.Item) -> list[PgSandboxError]:
        """Return what must make *item* fail of what its fixtures' teardown did not commit either.

        An application may commit when its context ends, which a fixture holds open.
        """
        found = [each for each in self._found if not self.run.test.is_committed(each)]
        self._found = []
        if self._of_uncommitted(item) == "fail":
            return [each.error for each in found]
        self._summary.uncommitted.extend(
            f"{item.nodeid} ({type(each.error).__name__} at {each.place})" for each in found[:1]
        )
        return []

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
            report.sections.extend(reporting.explained(self.run, call.excinfo.value, self._left))
        return report

    # -- the end ------------------------------------------------------------------------------

    def pytest_keyboard_interrupt(self) -> None:
        """Cancel what a thread of the interrupted test still runs, before fixtures wait for it."""
        self.run.test.begin_teardown(timeout=0)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Drop the run's databases, and send a worker's summary to the controller."""
        began = time.perf_counter()
        if self.is_controller and self.run.has_server:
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
            reporting.coverage_summary(terminalreporter, self._summary, self.settings)

    def pytest_unconfigure(self) -> None:
        """Drop the run's databases if no session did, and go on refusing connections.

        A run inside of another one, as `pytester` starts it, leaves every engine alone again.
        """
        self._stop()
        self._repetitions.remove()
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
