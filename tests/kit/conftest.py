"""The kit's own tests speak to servers of their own, past the run that they are part of."""

import os
from collections.abc import Iterator
from typing import Any

import coverage
import pytest

from pgsandbox.cli import project
from pgsandbox.cli.init import interpreter
from pgsandbox.plugin.active import ActivePlugin
from tests.kit import forks, measured


@pytest.fixture(scope="session", autouse=True)
def drivers_are_free(pytestconfig: pytest.Config) -> None:
    """No driver's own connect() is refused in this process; the projects that they run refuse."""
    plugin = pytestconfig.pluginmanager.getplugin("pgsandbox-active")
    assert isinstance(plugin, ActivePlugin)
    plugin.run.interceptor.free_the_drivers()


@pytest.fixture(scope="session", autouse=True)
def wider_fixtures_are_measured(pytestconfig: pytest.Config) -> None:
    """Coverage looks at what some of them start."""
    if forks.configuration is not None:
        pytestconfig.pluginmanager.register(WiderFixtures())


_UNMEASURED = (
    "tests/kit/integration/sandbox/endpoint/",
    "tests/kit/unit/docs/",
    "tests/kit/unit/test_maps.py",
    "tests/kit/unit/test_project.py",
    "tests/kit/unit/test_where_passwords_could_show.py",
)
"""Tests that run next to nothing of ours in their own process: an endpoint does it, or nobody."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Any:
    """Spare those the time that it takes coverage to look on."""
    measuring = coverage.Coverage.current()
    if measuring is None or not item.nodeid.startswith(_UNMEASURED):
        return (yield)
    measuring.stop()
    try:
        return (yield)
    finally:
        measuring.start()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let coverage look at what some tests start, and at nothing else."""
    _measure_for(item.nodeid)


class WiderFixtures:
    """Let it look at what some wider fixtures start, whichever test is the first to need them.

    A plugin of its own, since a conftest is not asked about fixtures of the whole session.
    """

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Any:
        """Choose by the fixture's place and name."""
        if fixturedef.scope == "function":
            return (yield)
        before = forks.measured, os.environ.get(measured.MEASURED)
        _measure_for(f"{fixturedef.baseid}::{fixturedef.argname}")
        try:
            return (yield)
        finally:
            _measure(*before)


def _measure_for(name: str) -> None:
    if forks.configuration is not None:
        told = measured.for_runs(name, forks.configuration)
        _measure(told, measured.for_started(name, forks.configuration))


def _measure(runs: str | None, started: str | None) -> None:
    forks.measured = runs
    os.environ.pop(measured.MEASURED, None)
    if started is not None:
        os.environ[measured.MEASURED] = started


@pytest.fixture
def programs_are_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``pgsandbox init`` starts has made its imports."""
    monkeypatch.setattr(interpreter, "run", forks.run)


@pytest.fixture(autouse=True)
def no_command_guards_on() -> Iterator[None]:
    """A command's guard stays to the end of its process; here the process goes on."""
    yield
    project.stop_guarding()
