"""The watchdog as the program that it is, beside a server that is none."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pgsandbox.servers import watchdog
from tests.kit.integration.servers.processes import until
from tests.kit.nightly import by_night


@pytest.mark.parametrize("servers", [20, *by_night(200)])
def test_a_server_whose_last_user_is_gone_before_it_starts_is_stopped(
    tmp_path: Path, servers: int
) -> None:
    """Wherever the watchdog is when it notices: of hundreds, one would once have waited forever."""
    folders = [_started(tmp_path / f"server-{number}") for number in range(servers)]

    assert until(lambda: not any(folder.exists() for folder in folders), seconds=30)


def _started(folder: Path) -> Path:
    """The folder of an instance that nobody uses, whose watchdog has its order."""
    (folder / "run").mkdir(parents=True)
    (folder / "users").touch()
    locks = [os.open(folder / name, os.O_RDWR | os.O_CREAT) for name in ("watchdog", "server")]
    for lock in locks:
        fcntl.flock(lock, fcntl.LOCK_EX)
    order = {"command": ["/bin/sleep", "60"], "environment": {}, "uid": None, "gid": None}
    subprocess.run(
        [sys.executable, "-I", "-S", watchdog.__file__, folder, *map(str, locks)],
        input=json.dumps(order).encode() + b"\n",
        start_new_session=True,
        pass_fds=locks,
        check=True,
    )
    for lock in locks:
        os.close(lock)
    return folder
