"""A run of its own: claims a database, prints its name, and drops it when its input ends."""

from __future__ import annotations

import sys
from pathlib import Path

from pgsandbox import databases
from tests.kit.integration.databases.conftest import LocalServer


def main(directory: str, database: str, application: str) -> None:
    """Live the life of one run."""
    server = LocalServer(Path(directory), database=database)
    databases.reap(server)
    owned = databases.claim(server, application, owner="claimer")
    print(owned.name, flush=True)
    sys.stdin.read()
    owned.drop()


if __name__ == "__main__":
    main(*sys.argv[1:])
