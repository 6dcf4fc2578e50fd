"""When the server is found and the databases are made: as early as tests are known to need them.

What is wrong then is said once, before any test runs, and not by each of them.
"""

from __future__ import annotations

import time

import pytest

from pgsandbox.errors import ConfigurationError, PgSandboxError
from pgsandbox.plugin.reporting import RunSummary
from pgsandbox.wiring import Run

_LOOKS = ("collectonly", "showfixtures", "show_fixtures_per_test", "cacheshow", "setupplan")
"""Options with which pytest shows something and runs no test."""


class Preparation:
    """Prepares a run's databases once, or knows why there are none."""

    def __init__(self, config: pytest.Config, run: Run, summary: RunSummary) -> None:
        self.unusable: PgSandboxError | None = None
        """Why there is no database, once that is known."""
        self._config = config
        self._run = run
        self._summary = summary

    @property
    def runs_tests(self) -> bool:
        """Whether pytest is asked to run tests, and not to show something."""
        return not any(getattr(self._config.option, name, False) for name in _LOOKS)

    @property
    def is_controller(self) -> bool:
        """Whether workers of pytest-xdist run the tests, and this process none."""
        dist = getattr(self._config.option, "dist", "no")
        return dist != "no" and self._run.worker is None

    def begin(self) -> None:
        """Prepare before anything is collected, where the tests to run will need it.

        Raises:
            pytest.UsageError: it can't be done, also when all conftest files are loaded.
        """
        # A worker of pytest-xdist has nobody yet to tell what is wrong.
        if self._run.worker is None and self.runs_tests and self._is_foreseen():
            try:
                self.complete()
            except PgSandboxError as error:
                if not isinstance(error, ConfigurationError) or not self._has_conftests_to_come():
                    raise self.usage_error(error) from error
                self.unusable = None  # when they are loaded, it is tried again

    def complete(self) -> None:
        """Find the server and create the databases, unless that is done.

        Raises:
            PgSandboxError: it can't be done; the same again whenever it is tried.
        """
        if self.unusable is not None:
            raise self.unusable.with_traceback(None)
        if self._run.is_started or (self.is_controller and self._run.has_server):
            return
        began = time.perf_counter()
        try:
            if self._run.worker is None:
                self._run.require_connections(self._processes())
            if self.is_controller:
                self._run.find_server()
            else:
                self._run.start()
        except PgSandboxError as error:
            self.unusable = error
            raise
        finally:
            self._run.close_administration()
            self._summary.figures.preparation += time.perf_counter() - began

    def usage_error(self, error: PgSandboxError) -> pytest.UsageError:
        """Return what ends the run with *error*, which is said once for all workers."""
        text = f"{type(error).__name__}: {error}"
        if self._run.worker is None:
            return pytest.UsageError(text)
        # The controller says it; pytest prints each of the arguments.
        self._summary.refusal = text
        return pytest.UsageError()

    def _processes(self) -> int:
        """How many processes run tests: the workers of pytest-xdist, or this one alone."""
        asked: list[str] = getattr(self._config.option, "tx", None) or []
        if not self.is_controller:
            return 1
        # "popen" for each, or "4*popen" (xdist.workermanage.parse_spec_config).
        counts = [each.partition("*") for each in asked]
        return sum(int(first) if star else 1 for first, star, _ in counts) or 1

    def _is_foreseen(self) -> bool:
        """Whether an argument of the command line lies above or below one of `paths`."""
        start = self._config.invocation_params.dir
        arguments = [(start / str(each).split("::")[0]).resolve() for each in self._config.args]
        return any(
            argument.is_relative_to(path) or path.is_relative_to(argument)
            for path in self._run.settings.paths
            for argument in arguments
            if path.exists() and argument.exists()
        )

    def _has_conftests_to_come(self) -> bool:
        """Whether one below `paths` is not loaded yet, which may set what an import needs.

        Before the collection pytest loads those of the arguments, and one folder below them.
        """
        plugins = self._config.pluginmanager.get_plugins()
        loaded = {getattr(each, "__file__", None) for each in plugins}
        files = [each / "conftest.py" for each in self._run.settings.paths]
        return any(each.is_file() and str(each) not in loaded for each in files)
