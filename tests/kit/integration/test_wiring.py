"""How the settings become URLs and servers, without any test run around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from pgsandbox import config
from pgsandbox.errors import ConfigurationError, NotInSandbox
from pgsandbox.wiring import Run

MakeRun = Callable[..., Run]

calls: list[str] = []

sqlite = URL.create("sqlite", database="shop")
platform = "postgres://dev@example.org/shop"


def counted() -> str:
    """A URL, as an application's own function returns one."""
    calls.append("called")
    return "postgresql+psycopg2://dev@127.0.0.1:1/shop"


def failing() -> str:
    """What happens when an application's settings need more than there is."""
    raise ValueError("cannot read postgresql://dev:hunter2@example.org/shop")


def refused() -> str:
    """An error of pgsandbox itself says enough."""
    raise NotInSandbox("refused")


def nothing() -> None:
    """No URL at all."""


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Make a run from the text of settings."""

    def make(settings: str, **environ: str) -> Run:
        table = f'[tool.pgsandbox]\nmetadata = "models:Base"\n{settings}\n'
        (tmp_path / "pyproject.toml").write_text(table)
        found = config.read(tmp_path, environ, {})
        assert found is not None
        return Run(found)

    return make


def test_a_url_is_asked_for_once(make_run: MakeRun) -> None:
    """The function may make a whole application."""
    calls.clear()
    run = make_run(f'url = "{__name__}:counted"')
    urls = {run.project.application_url(), run.project.application_url()}

    assert urls == {URL.create("postgresql+psycopg2", "dev", None, "127.0.0.1", 1, "shop")}
    assert calls == ["called"]


def test_a_platforms_spelling_is_understood(make_run: MakeRun) -> None:
    """SQLAlchemy itself does not take it any more."""
    url = make_run(f'url = "{__name__}:platform"').project.application_url()

    assert url is not None
    assert url.drivername == "postgresql"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("sqlite", "names a database of sqlite"),
        ("failing", "calling it failed"),
        ("nothing", "which is not a URL and returns none"),
    ],
)
def test_what_is_no_url_of_postgresql(make_run: MakeRun, reference: str, said: str) -> None:
    """Whether it is another database's, or none; the message names the setting."""
    run = make_run(f'url = "{__name__}:{reference}"')
    with pytest.raises(ConfigurationError) as caught:
        run.project.application_url()

    assert said in str(caught.value)
    assert "url" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_error_of_ours_passes(make_run: MakeRun) -> None:
    """A connection that the guard refused, say, when the application is made."""
    with pytest.raises(NotInSandbox):
        make_run(f'url = "{__name__}:refused"').project.application_url()


def test_external_needs_a_url(make_run: MakeRun) -> None:
    """Somebody insists on a server, and nobody names one."""
    with pytest.raises(ConfigurationError) as caught:
        make_run('server = "external"').find_server()

    assert 'server = "external" needs a server, and nothing names one' in str(caught.value)
    assert "pyproject.toml [tool.pgsandbox]" in str(caught.value)


def test_a_run_that_never_started_ends(make_run: MakeRun) -> None:
    """Also twice."""
    run = make_run("")

    assert (run.stop(), run.stop()) == ([], [])
