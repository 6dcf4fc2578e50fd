"""``pgsandbox adopt``, and runs of a role that may not create databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pgsandbox import databases
from pgsandbox.cli import main
from pgsandbox.databases.adoption import contents
from pgsandbox.servers import Server
from tests.kit.crash.project import write_project
from tests.kit.external import PASSWORD, External
from tests.kit.integration.plugin.projects import Project

_NAMES = ("shop_test", "shop_gw0_test", "shop_gw1_test")


@pytest.fixture
def url(server: Server, external: External, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a role that may not create databases, and owns three empty ones."""
    external.execute(
        f"CREATE ROLE ci LOGIN PASSWORD '{PASSWORD}'",
        *(f"CREATE DATABASE {name} OWNER ci" for name in _NAMES),
    )
    of_the_role = external.url.set(username="ci", database="shop_test")
    text = of_the_role.render_as_string(hide_password=False)
    monkeypatch.setenv("TEST_DATABASE_URL", text)
    yield text
    external.execute(
        *(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in _NAMES), "DROP ROLE ci"
    )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with sandboxed tests and three with a clone."""
    return write_project(tmp_path / "project", tmp_path / "caches")


def _contents(server: Server) -> list[str]:
    """What is in the adopted databases."""
    found = []
    for name in _NAMES:
        with closing(server.connect(name)) as inside:
            found += [str(piece) for piece in contents(inside)]
    return found


def test_a_run_without_the_right_works_in_what_was_adopted(
    project: Project, server: Server, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice, alone and on two workers; nothing stays in the databases, and they stay."""
    code = main(["adopt", *_NAMES])
    said = capsys.readouterr().out
    alone = project.run("-k", "not clone", TEST_DATABASE_URL=url)
    workers = project.run("-p", "xdist", "-n", "2", "-k", "not clone", TEST_DATABASE_URL=url)

    assert code == 0
    assert said.splitlines()[0] == "shop_test is adopted: every run that takes it empties it"
    assert (alone.code, alone.counts["passed"]) == (0, 13)
    assert (workers.code, workers.counts["passed"]) == (0, 13)
    assert alone.line("pgsandbox: PostgreSQL").endswith("database shop_test")
    assert _contents(server) == []


def test_a_clone_is_refused_with_the_reason(project: Project, server: Server, url: str) -> None:
    """The other tests go on; the message has the statement that would help."""
    main(["adopt", "shop_test"])
    outcome = project.run(TEST_DATABASE_URL=url)

    assert outcome.counts == {"passed": 13, "errors": 3}
    assert "MayNotCreateDatabases: A clone is a database of its own" in outcome.out
    assert 'ALTER ROLE "ci" CREATEDB;' in outcome.out
    assert _contents(server) == []


def test_without_adoption_nothing_is_touched(project: Project, server: Server, url: str) -> None:
    """Owning an empty database, and naming it, is not handing it over."""
    outcome = project.run("-k", "not clone", TEST_DATABASE_URL=url)

    assert outcome.code == 4
    assert "MayNotCreateDatabases" in outcome.err
    assert "pgsandbox adopt" in outcome.err


def test_the_applications_own_database_is_never_adopted(
    server: Server, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """However empty it is today."""
    settings = f'[tool.pgsandbox]\nmetadata = "models:Base"\nurl = "{url}"\n'
    (tmp_path / "pyproject.toml").write_text(settings)
    code = main(["adopt", "shop_test"])
    said = capsys.readouterr().err

    assert code == 2
    assert said.startswith('AdoptionRefused: "shop_test" is the name of the application')
    assert PASSWORD.replace(" ", "%20") not in said
    assert databases.leftovers(server) == []


def test_an_adopted_database_is_listed_and_left(
    server: Server, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """``reap --kept`` drops nothing that it did not create; doctor finds nothing wrong."""
    main(["adopt", "shop_test", "--json"])
    adopted = json.loads(capsys.readouterr().out)["adopted"]
    code = main(["reap", "--kept"])
    said = capsys.readouterr().out
    diagnosis = main(["doctor"])

    assert [each["database"] for each in adopted] == ["shop_test"]
    assert code == 0
    assert "adopted: emptied by the next run, never dropped" in said
    assert diagnosis == 0
