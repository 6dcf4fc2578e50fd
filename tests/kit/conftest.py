"""The kit's own tests speak to servers of their own, past the run that they are part of."""

from collections.abc import Iterator

import pytest

from pgsandbox.cli import project
from pgsandbox.cli.init import interpreter
from pgsandbox.plugin.active import ActivePlugin
from tests.kit import forks


@pytest.fixture(scope="session", autouse=True)
def drivers_are_free(pytestconfig: pytest.Config) -> None:
    """No driver's own connect() is refused in this process; the projects that they run refuse."""
    plugin = pytestconfig.pluginmanager.getplugin("pgsandbox-active")
    assert isinstance(plugin, ActivePlugin)
    plugin.run.interceptor.free_the_drivers()


@pytest.fixture
def programs_are_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``pgsandbox init`` starts has made its imports."""
    monkeypatch.setattr(interpreter, "run", forks.run)


@pytest.fixture(autouse=True)
def no_command_guards_on() -> Iterator[None]:
    """A command's guard stays to the end of its process; here the process goes on."""
    yield
    project.stop_guarding()
