"""Hooks of conftest files that are refused a connection are told so by a message.

pytest takes an error in such a hook for a failure of its own, or lets it end the program, and calls
none of the hooks that were to follow: the run's report would be lost for a `drop_all` at its end.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Mapping
from typing import Any

import pytest

from pgsandbox.errors import PgSandboxError
from pgsandbox.plugin.reporting import RunSummary
from pgsandbox.sandbox import superfluous
from pgsandbox.sandbox.explanation import refusal_behind
from pgsandbox.sandbox.statement_places import StatementPlaces


class RefusedHooks:
    """What the hooks around the tests were refused, and the exit code that says so."""

    def __init__(self, config: pytest.Config, summary: RunSummary, places: StatementPlaces) -> None:
        """Let *summary* tell what the hooks of the run's end were refused."""
        self._config = config
        self._summary = summary
        self._places = places
        self._session: pytest.Session | None = None

    # -- before the tests ---------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> Generator[None, object, object]:
        """Say what a hook was refused as a message, and not as pytest's own failure."""
        self._session = session
        try:
            return (yield)
        except Exception as failure:
            error = self._refusal(failure)
            if error is None:
                raise
            raise pytest.UsageError(f"{type(error).__name__}: {error}") from failure

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Do the same for all others: pytest allows no wrapper around pytest_configure."""
        error = self._refusal(excinfo.value)
        if error is not None and not hasattr(self._config, "workerinput"):
            raise pytest.UsageError(f"{type(error).__name__}: {error}") from excinfo.value

    # -- after them ---------------------------------------------------------------------------

    # The innermost wrapper, so that pytest's own, around it, writes its summary.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int
    ) -> Generator[None, object, object]:
        """Let the hooks after a refused one be called, and the exit code be none of success."""
        result = None
        try:
            result = yield
        except Exception as failure:  # noqa: BLE001 - what is not ours goes on
            arguments = {"session": session, "exitstatus": exitstatus}
            self._go_on("pytest_sessionfinish", failure, arguments)
        self._fail(session)
        return result

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_unconfigure(self, config: pytest.Config) -> Generator[None, object, object]:
        """Do the same; the run's summary has been written by now."""
        result = None
        try:
            result = yield
        except Exception as failure:  # noqa: BLE001 - what is not ours goes on
            self._go_on("pytest_unconfigure", failure, {"config": config})
        self._fail(self._session)
        for line in self._summary.refused_hooks.values():
            sys.stderr.write(f"pgsandbox: {line}\n")
        return result

    def _go_on(self, hook: str, failure: Exception, arguments: Mapping[str, Any]) -> None:
        """Note what *hook* was refused, and call what was to follow."""
        self._note(failure)
        for each in _not_called(getattr(self._config.hook, hook), failure):
            try:
                each.function(*(arguments[name] for name in each.argnames))
            except Exception as other:  # noqa: BLE001 - what is not ours goes on
                self._note(other)

    def _note(self, failure: Exception) -> None:
        error = self._refusal(failure)
        if error is None:
            raise failure
        text = f"{type(error).__name__}: {error}"
        # Each worker of pytest-xdist and their controller may call the same one.
        self._summary.refused_hooks.setdefault(superfluous.maker_of(error) or text, text)

    def _fail(self, session: pytest.Session | None) -> None:
        if self._summary.refused_hooks and session is not None:
            session.exitstatus = session.exitstatus or pytest.ExitCode.USAGE_ERROR

    def _refusal(self, failure: BaseException) -> PgSandboxError | None:
        error = refusal_behind(failure)
        if error is None:
            return None
        return superfluous.about_its_statement(error, failure, self._places) or error


def _not_called(hook: Any, failure: BaseException) -> Iterator[Any]:
    """Yield the implementations of *hook* that were to be called after the one that failed."""
    codes = set()
    step = failure.__traceback__
    while step is not None:
        codes.add(step.tb_frame.f_code)
        step = step.tb_next
    is_past = False
    for each in reversed(hook.get_hookimpls()):  # pluggy calls the last one first
        if each.wrapper or each.hookwrapper:
            continue
        if is_past:
            yield each
        is_past = is_past or getattr(each.function, "__code__", None) in codes
