"""``pgsandbox doctor`` shows the server of the project, measured here and now."""

from __future__ import annotations

import json
import re
from contextlib import closing

import pytest

from pgsandbox import databases
from pgsandbox.cli import main
from pgsandbox.databases import admin
from pgsandbox.servers import Server
from tests.kit.external import PASSWORD, External


def test_one_screen_says_what_there_is(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Settings with sources, the server and why, figures, rights, what is left, advice."""
    databases.claim(server, "shop", owner="/srv/shop").keep()
    code = main(["doctor"])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    titles = [line for line in lines if line and " " not in line]

    assert code == 0
    assert titles == [
        *("settings", "server", "durability", "role", "connections", "databases", "advice")
    ]
    assert 'metadata ["models:Base"] (pyproject.toml [tool.pgsandbox])' in lines
    assert "chosen from TEST_DATABASE_URL" in lines
    assert "synchronous_commit on" in lines
    assert "create databases yes" in lines
    assert any(re.fullmatch(r"shop_test kept, \d+ s old /srv/shop", line) for line in lines)
    assert any(line.startswith("1. Turn off synchronous_commit on a server") for line in lines)


def test_templates_are_shown_with_their_age(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """Apart from the databases that runs left."""
    with closing(server.connect()) as connection:
        oid = admin.create(connection, "shop_template")
        assert oid is not None
        admin.mark(connection, "shop_template", oid, purpose=databases.TEMPLATE)
    main(["doctor", "--json"])
    said = json.loads(capsys.readouterr().out)

    assert [name for name, _ in said["templates"]] == ["shop_template"]
    assert said["left_overs"] == []


def test_it_leaves_nothing_and_shows_no_password(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it measures with is dropped; as an object for a program."""
    main(["doctor", "--json"])
    text = capsys.readouterr().out
    said = json.loads(text)

    assert PASSWORD not in text
    assert PASSWORD.replace(" ", "%20") not in text
    assert PASSWORD.replace(" ", "+") not in text
    assert all(figure > 0 for figure in said["situation"]["costs"].values())
    assert said["connections"]["free"] > 0
    assert databases.leftovers(server) == []


def test_a_role_without_createdb_is_a_finding(
    server: Server,
    external: External,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 1, and the statement that helps comes first; nothing can be measured."""
    external.execute(f"CREATE ROLE plain LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 9")
    url = external.url.set(username="plain", database="shop_test")
    monkeypatch.setenv("TEST_DATABASE_URL", url.render_as_string(hide_password=False))
    code = main(["doctor"])
    said = capsys.readouterr().out
    external.execute("DROP ROLE plain")

    assert code == 1
    assert '1.  Let the role create databases: ALTER ROLE "plain" CREATEDB' in said
    assert "an empty database" not in said
    assert "role's own limit" in said


def test_a_server_that_is_gone_cannot_be_diagnosed(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, with the error of a run."""
    monkeypatch.setenv("TEST_DATABASE_URL", "postgresql+psycopg2://nobody@127.0.0.1:1/x")
    code = main(["doctor"])

    assert code == 2
    assert capsys.readouterr().err.startswith("ServerUnreachable: ")
