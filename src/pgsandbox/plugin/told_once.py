"""A suite that makes or drops databases by itself is told so once, and not in every test.

The fixture that does it is refused whenever a test asks for it. The first of these tests has the
whole message, the others one line, which says where that is.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pgsandbox.errors import GuardError, PgSandboxError
from pgsandbox.sandbox import superfluous
from pgsandbox.sandbox.explanation import refusal_behind
from pgsandbox.sandbox.statement_places import StatementPlaces


class ToldOnce:
    """The fixtures that are refused, and the tests that were told so."""

    def __init__(self, places: StatementPlaces) -> None:
        """Begin with nobody told; *places* knows the tests' own code."""
        self._places = places
        self._told: dict[str, str] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Shorten the report of a test whose fixture was told already."""
        report = yield
        if call.excinfo is None or not report.failed:
            return report
        failure = call.excinfo.value
        of_statement = self._of_statement(failure)
        error = of_statement or (failure if isinstance(failure, GuardError) else None)
        found = superfluous.maker_of(error) if error is not None else None
        if found is None:
            return report
        first = self._told.setdefault(found, item.nodeid)
        if first != item.nodeid:
            report.longrepr = f"{type(error).__name__}: delete {found}; {first} says more."
            report.sections.clear()
        elif of_statement is not None:
            # The driver's error has the advice for code that is there to make databases.
            report.longrepr = f"{type(error).__name__}: {error}"
            report.sections.clear()
        return report

    def _of_statement(self, failure: BaseException) -> PgSandboxError | None:
        refused = refusal_behind(failure)
        if refused is None:
            return None
        return superfluous.about_its_statement(refused, failure, self._places)
