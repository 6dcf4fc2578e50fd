"""Run tests beside threads that no test joins, and print what came of it.

::

    python -m tests.kit.busy                                  10,000 tests, a quarter of an hour
    python -m tests.kit.busy --tests 1000 --driver psycopg    fewer, by another driver
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from pathlib import Path

from tests.kit.busy.project import run_beside_threads


def main() -> int:
    """Return 0 if no test failed, and no thread wrote into a test that was not its own; else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.kit.busy")
    parser.add_argument("--tests", type=int, default=10_000)
    parser.add_argument("--driver", default="psycopg2", choices=["psycopg2", "psycopg"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        found = run_beside_threads(Path(folder), options.tests, driver=options.driver)
    if not found.is_well:
        print(found.text, file=sys.stderr)
    print(found.table())
    return int(not found.is_well)


if __name__ == "__main__":
    sys.exit(main())
