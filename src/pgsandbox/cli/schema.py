"""``pgsandbox schema diff``: what the models say and the migrations don't do, or the reverse."""

from __future__ import annotations

import argparse
import sys

from pgsandbox.cli.project import root_argument, run_that_guards, settings_of


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    diff = actions.add_parser(
        "diff",
        help="compare two databases, one made from the models and one by the migrations",
        description="Build the models and the migrations in two databases of their own, compare "
        "their catalogs, and drop them.",
        epilog="Exit codes: 0 no difference, 1 differences, 2 cannot run.",
    )
    diff.add_argument("--json", action="store_true", help="print an object for programs")
    diff.add_argument(
        "--column-order", action="store_true", help="report columns that stand in another order"
    )
    root_argument(diff)


def run(options: argparse.Namespace) -> int:
    """Compare, print, and return the exit code."""
    settings = settings_of(options.root)
    from pgsandbox.comparing import compare_schemas  # SQLAlchemy comes with it

    with run_that_guards(settings):
        report = compare_schemas(settings, column_order=options.column_order)
    sys.stdout.write((report.json() if options.json else report.text()) + "\n")
    return report.exit_code
