"""The endpoint's process: ``python -m pgsandbox.sandbox.endpoint CONTROL FOLDER PID``."""

from __future__ import annotations

import fcntl
import shutil
import signal
import socket
import sys
from pathlib import Path

from pgsandbox.sandbox.endpoint.endpoint import Endpoint


def main(arguments: list[str]) -> None:
    """Serve until the test process is gone."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # the end of the control socket ends it
    control, folder, test_process = arguments
    unlocked = Path(folder) / "lock.new"
    with unlocked.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tells others that this folder is in use
        unlocked.rename(unlocked.with_suffix(""))  # so that nobody finds it unlocked
        try:
            Endpoint(socket.socket(fileno=int(control)), Path(folder), int(test_process)).run()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
