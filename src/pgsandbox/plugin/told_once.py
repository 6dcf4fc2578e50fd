"""A suite that makes or drops databases by itself is told so once, and not in every test.

The fixture that does it is refused whenever a test asks for it. The first of these tests has the
whole message, the others one line, which says where that is.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pgsandbox.errors import GuardError
from pgsandbox.sandbox import superfluous


class ToldOnce:
    """The hooks of conftest files that are refused, and the tests whose fixtures are."""

    def __init__(self) -> None:
        """Begin with nobody told."""
        self._told: dict[str, str] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self) -> Generator[None, object, object]:
        """Say what a conftest's hook was refused as a message, and not as pytest's own failure."""
        try:
            return (yield)
        except GuardError as error:
            raise pytest.UsageError(f"{type(error).__name__}: {error}") from error

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Shorten the report of a test whose fixture was told already."""
        report = yield
        error = call.excinfo.value if call.excinfo is not None else None
        found = _maker(error) if report.failed and isinstance(error, GuardError) else None
        if found is None:
            return report
        first = self._told.setdefault(found, item.nodeid)
        if first != item.nodeid:
            report.longrepr = f"{type(error).__name__}: delete {found}; {first} says more."
            report.sections.clear()
        return report


def _maker(error: GuardError) -> str | None:
    return next((each.value for each in error.facts if each.name == superfluous.FACT), None)
