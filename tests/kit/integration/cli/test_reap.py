"""``pgsandbox reap`` drops what killed runs left, and says what stays."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pgsandbox import databases
from pgsandbox.cli import main
from pgsandbox.databases import admin
from pgsandbox.servers import Server
from tests.kit.external import PASSWORD, External
from tests.kit.integration.recorded import normalised, recorded


def _kill(server: Server, name: str, owner: str = "/srv/shop") -> None:
    """Leave what a killed run leaves: a marked database that nobody holds."""
    with closing(server.connect()) as connection:
        oid = admin.create(connection, name)
        assert oid is not None
        admin.mark(connection, name, oid, owner=owner)


def test_it_drops_what_killed_runs_left_and_nothing_else(
    server: Server, external: External, capsys: pytest.CaptureFixture[str]
) -> None:
    """A live run's stays, a kept one stays, what we did not make is not even mentioned."""
    external.execute("CREATE DATABASE foreign_test")
    live = databases.claim(server, "live", owner="/srv/live")
    databases.claim(server, "kept", owner="/srv/kept").keep()
    _kill(server, "dead_test")
    code = main(["reap"])
    said = normalised(capsys.readouterr().out)
    lines = [" ".join(line.split()) for line in said.splitlines()]
    left = [each.name for each in databases.leftovers(server)]
    live.drop()
    external.execute("DROP DATABASE foreign_test")

    assert code == 0
    assert lines[1:] == [
        "dropped dead_test left by a killed run /srv/shop",
        "left kept_test kept; `pgsandbox reap --kept` drops it /srv/kept",
        "left live_test held by a live run /srv/live",
        "1 dropped, 2 left",
    ]
    assert left == ["kept_test", "live_test"]
    assert said == recorded("output/reap", said)


def test_kept_databases_go_when_somebody_asks_for_it(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """As an object for a program."""
    databases.claim(server, "kept", owner="/srv/kept").keep()
    code = main(["reap", "--kept", "--json"])
    said = json.loads(capsys.readouterr().out)

    assert code == 0
    assert [(each["name"], each["became"]) for each in said["lines"]] == [("kept_test", "dropped")]
    assert databases.leftovers(server) == []


def test_one_kept_database_goes_by_its_name(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others stay; a name that no kept database bears is an error, and drops nothing."""
    for name in ("one", "other"):
        databases.claim(server, name, owner="/srv/kept").keep()
    unknown = main(["reap", "--kept", "nobodys_test"])
    said = capsys.readouterr().err
    code = main(["reap", "--kept", "one_test"])
    left = [each.name for each in databases.leftovers(server)]
    databases.reap(server, include_kept=True)

    assert (unknown, code) == (2, 0)
    assert "No kept database is called nobodys_test" in said
    assert left == ["other_test"]


def test_what_resists_is_a_finding_with_the_session_that_blocks_it(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 1, and the other left-overs are gone all the same."""
    _kill(server, "dead_1_test")
    _kill(server, "dead_2_test")
    with closing(server.connect()) as other:
        cursor = other.cursor()
        cursor.execute("set application_name = 'a debugger'")
        cursor.execute("begin; comment on database dead_1_test is null")
        monkeypatch.setattr("pgsandbox.cli.reap.LIMITS", admin.Limits(lock=0.3, statement=2.0))
        code = main(["reap"])
        pid = other.info.backend_pid
    said = capsys.readouterr().out

    assert code == 1
    assert f'pid {pid}, application "a debugger"' in said
    assert "failed   dead_1_test" in said
    assert [each.name for each in databases.leftovers(server)] == ["dead_1_test"]


def test_a_template_in_use_is_left(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Its user is alive; when it has gone, the template goes."""
    with closing(server.connect()) as connection:
        oid = admin.create(connection, "shop_template")
        assert oid is not None
        admin.mark(connection, "shop_template", oid, purpose=databases.TEMPLATE)
    leases = databases.Leases(server)
    leases.use("shop_template")
    used = main(["reap"]), capsys.readouterr().out
    leases.close()
    unused = main(["reap"]), capsys.readouterr().out

    assert used[0] == unused[0] == 0
    assert "a template that a live run uses" in used[1]
    assert "dropped  shop_template" in unused[1]


def test_what_belongs_to_another_role_is_left_with_its_name(
    server: Server,
    external: External,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two people share a server: one can't clear up after the other."""
    external.execute(f"CREATE ROLE ann LOGIN CREATEDB PASSWORD '{PASSWORD}'")
    _kill(server, "dead_test")
    url = external.url.set(username="ann", database="shop_test")
    monkeypatch.setenv("TEST_DATABASE_URL", url.render_as_string(hide_password=False))
    code = main(["reap"])
    said = capsys.readouterr().out
    external.execute("DROP ROLE ann")

    assert code == 0
    assert "only its owner postgres may drop it" in said


def test_no_server_is_started_to_look_for_left_overs(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What an embedded server held went with it."""
    monkeypatch.delenv("TEST_DATABASE_URL")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "pgsandbox", "reap"], capture_output=True, text=True, check=True
    )

    assert "no embedded server is running" in done.stdout
    assert not list(tmp_path.glob("pgsandbox/data-*"))


def test_a_directory_without_a_project_cannot_be_reaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and what was looked for."""
    code = main(["reap", "--root", str(tmp_path)])

    assert code == 2
    assert "no project here that uses pgsandbox" in capsys.readouterr().err


def test_a_server_that_is_gone_cannot_be_reaped(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, with the error of a run."""
    monkeypatch.setenv("TEST_DATABASE_URL", "postgresql+psycopg2://nobody:secret@127.0.0.1:1/x")
    code = main(["reap"])
    said = capsys.readouterr().err

    assert code == 2
    assert said.startswith("ServerUnreachable: ")
    assert "secret" not in said
