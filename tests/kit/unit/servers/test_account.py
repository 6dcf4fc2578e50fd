"""The user that runs the server."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from pgsandbox.errors import ServerDidNotStart
from pgsandbox.servers import account
from pgsandbox.servers.account import Account


def test_an_ordinary_user_runs_it_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has to be changed for that."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    chosen = account.of_the_server()

    assert (chosen.uid, chosen.is_other) == (1000, False)
    assert chosen.popen_arguments() == {}


def test_root_steps_down_to_postgres_or_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever of them the machine has."""
    nobody = pwd.getpwnam("nobody")
    known = {"nobody": nobody}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", known.__getitem__)
    chosen = account.of_the_server()

    assert chosen == Account(nobody.pw_uid, nobody.pw_gid, is_other=True)
    assert chosen.popen_arguments() == {
        "user": nobody.pw_uid,
        "group": nobody.pw_gid,
        "extra_groups": [],
    }


def test_root_without_anybody_else_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """No user is ever added to a machine."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", {}.__getitem__)

    with pytest.raises(ServerDidNotStart, match="refuses to run as root"):
        account.of_the_server()


def test_every_folder_on_the_way_must_let_the_user_through(tmp_path: Path) -> None:
    """Owner, group and others each have their own bit."""
    program = tmp_path / "program"
    program.touch()
    status = program.stat()
    owner = Account(status.st_uid, status.st_gid, is_other=True)
    group = Account(status.st_uid + 1, status.st_gid, is_other=True)
    other = Account(status.st_uid + 1, status.st_gid + 1, is_other=True)
    program.chmod(0o710)

    assert [a._may_execute(program.stat()) for a in (owner, group, other)] == [True, True, False]
    assert other.can_run(Path("/bin/sh"))
    assert not other.can_run(program)
