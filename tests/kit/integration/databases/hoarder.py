"""A process that makes copies ahead, says that some are ready, and waits to be killed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from pgsandbox import databases
from pgsandbox.databases.lease import Leases
from tests.kit.integration.databases.conftest import LocalServer


def main(folder: str, template: str) -> None:
    """Make copies of *template* ahead; wait in the midst of it."""
    server = LocalServer(Path(folder))
    pool = databases.ClonePool(
        server, Leases(server), [databases.CloneSource(template, "shop_clone")]
    )
    pool.expect(100)
    while "shop_clone_test" not in server.databases():
        time.sleep(0.005)
    print("made", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
