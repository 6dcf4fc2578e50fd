"""Root follows nothing that the server's account put into its own folder.

The account plants what it likes as soon as initdb is done: a wrapper around initdb does that here,
which is what a process of the account's that waits for the moment could do.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pgsandbox.errors import PgSandboxError
from pgsandbox.servers import Server, embedded, watchdog
from pgsandbox.servers.account import of_the_server
from pgsandbox.servers.binaries import find, settle

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root has an account to step down to"
)

SECRET = "for root's eyes only"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that only root may read."""
    file = tmp_path / "secret"
    file.write_text(SECRET)
    file.chmod(0o600)
    return file


@pytest.fixture
def start(cache: Path, tmp_path: Path) -> Iterator[Callable[[str], Server]]:
    """Start a server after whose initdb the account has run some commands in the data directory."""
    (cache / "real").mkdir()
    real = settle(find(None), cache / "real", tmp_path / "spare", of_the_server())
    programs = cache / "wrapped"
    programs.mkdir(mode=0o755)
    (programs / "postgres").symlink_to(real / "postgres")
    started: list[Server] = []

    def start(commands: str) -> Server:
        wrapper = programs / "initdb"
        wrapper.write_text(
            f'#!/bin/sh\n{real}/initdb "$@" || exit\n'
            'for each in "$@"; do case "$each" in --pgdata=*) cd "${each#--pgdata=}";; esac; done\n'
            f"{commands}\n"
        )
        wrapper.chmod(0o755)
        started.append(embedded(reason="a test", cache=cache, binaries=programs))
        return started[-1]

    yield start
    for server in started:
        server.release()


def readable(cache: Path, server: Server) -> str:
    """What the server's account can read below the server's folder, and what the cache holds."""
    account = of_the_server()
    run = str(server.url.query["host"])
    found = subprocess.run(
        ["grep", "-rhas", SECRET, run],
        capture_output=True,
        text=True,
        check=False,
        user=account.uid,
        group=account.gid,
        extra_groups=[],
    ).stdout
    return (
        found
        + subprocess.run(
            ["grep", "-rhas", SECRET, cache], capture_output=True, text=True, check=False
        ).stdout
    )


def test_a_link_to_a_file_of_roots_is_not_copied(
    cache: Path, secret: Path, start: Callable[[str], Server]
) -> None:
    """It went into the cache, and from there, readable, into the next server's folder."""
    start(f"ln -s {secret} planted").release()
    second = start("true")

    assert readable(cache, second) == ""


@pytest.mark.nightly
def test_a_linked_folder_of_roots_is_not_copied(
    cache: Path, secret: Path, start: Callable[[str], Server]
) -> None:
    """Neither by a link in the way."""
    start(f"ln -s {secret.parent} base/99999").release()
    second = start("true")

    assert readable(cache, second) == ""


def test_nothing_is_appended_to_a_file_of_roots(
    secret: Path, start: Callable[[str], Server]
) -> None:
    """The settings are written into postgresql.conf, whatever stands there."""
    with pytest.raises(PgSandboxError):
        start(f"mv postgresql.conf kept; ln -s {secret} postgresql.conf")

    assert secret.read_text() == SECRET


def test_nothing_of_roots_is_removed(tmp_path: Path, start: Callable[[str], Server]) -> None:
    """Files that the server makes anew are removed below base, and nowhere else."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "1234_fsm").touch()
    with suppress(PgSandboxError):
        start(f"ln -s {victim} base/99999")

    assert (victim / "1234_fsm").exists()


def test_a_pipe_in_the_place_of_the_pid_file_blocks_nobody(tmp_path: Path) -> None:
    """Root reads it to see whether the server is ready, and to clear up."""
    (tmp_path / "data").mkdir()
    os.mkfifo(tmp_path / "data" / "postmaster.pid")
    began = time.monotonic()

    assert watchdog.noted(tmp_path) == []
    assert time.monotonic() - began < 5


def test_the_pid_file_is_not_read_through_a_link(tmp_path: Path, secret: Path) -> None:
    """Neither the file nor the folder that it is in."""
    (tmp_path / "run" / "data").mkdir(parents=True)
    (tmp_path / "run" / "data" / "postmaster.pid").symlink_to(secret)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "data").symlink_to(tmp_path / "plain")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "postmaster.pid").write_text("1\n")

    assert watchdog.noted(tmp_path / "run") == []
    assert watchdog.noted(tmp_path / "other") == []
    assert watchdog.noted(tmp_path) == []
