"""``pgsandbox coverage``: the sum of the schema coverage that several runs have measured."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pgsandbox.cli import FINDINGS, FINE
from pgsandbox.schema import coverage

_FILE = Path(".pgsandbox-coverage")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument(
        "file",
        nargs="*",
        type=Path,
        default=[_FILE],
        help=f"data files that runs with --pg-coverage wrote (default: {_FILE})",
    )
    parser.add_argument("--html", type=Path, metavar="DIRECTORY", help="write the pages there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write it as JSON there")
    parser.add_argument(
        "--fail-under", type=float, default=0.0, metavar="PERCENT", help="exit with 1 below that"
    )
    parser.add_argument("--all", action="store_true", help="print all that is missing, not 40")


def run(options: argparse.Namespace) -> int:
    """Print what no test of any of the runs has touched."""
    found = coverage.combined(coverage.read(file) for file in options.file)
    for name, each in found.items():
        if len(found) > 1:
            sys.stdout.write(f"{name}\n")
        shown = len(each.missed()) if options.all else 40
        sys.stdout.write("\n".join(coverage.table_of(each, shown=shown)) + "\n")
    if options.json is not None:
        coverage.write(found, options.json)
    if options.html is not None:
        sys.stdout.write(f"pages: {coverage.write_pages(found, options.html)}\n")
    is_low = any(each.percent < options.fail_under for each in found.values())
    return FINDINGS if is_low else FINE
