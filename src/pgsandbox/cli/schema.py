"""``pgsandbox schema diff``: what the models say and the migrations don't do, or the reverse."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pgsandbox import config
from pgsandbox.errors import ConfigurationError, Fact


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
    diff.add_argument(
        "--root", type=Path, default=Path(), help="the directory of pyproject.toml (default: here)"
    )


def run(options: argparse.Namespace) -> int:
    """Compare, print, and return the exit code."""
    root = options.root.resolve()
    settings = config.read(root, os.environ, {})
    if settings is None:
        raise ConfigurationError(
            "This project does not configure pgsandbox.",
            facts=[Fact("looked in", str(root / "pyproject.toml"))],
            remedy="Run it where pyproject.toml has a table [tool.pgsandbox], or give --root.",
        )
    # As `python -m pytest` and `alembic` do: the project's own modules are below its root.
    for place in ("src", "."):
        if (path := str(root / place)) not in sys.path and Path(path).is_dir():
            sys.path.insert(0, path)
    from pgsandbox.comparing import compare_schemas  # SQLAlchemy comes with it

    report = compare_schemas(settings, column_order=options.column_order)
    sys.stdout.write((report.json() if options.json else report.text()) + "\n")
    return report.exit_code
