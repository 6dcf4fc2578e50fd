"""``pgsandbox schema diff``: what the models say and the migrations don't do, or the reverse."""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

from pgsandbox import config
from pgsandbox.cli.project import run_that_guards
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
    for path in _places_of_modules(root):
        if path not in sys.path:
            sys.path.insert(0, path)
    from pgsandbox.comparing import compare_schemas  # SQLAlchemy comes with it

    with run_that_guards(settings):
        report = compare_schemas(settings, column_order=options.column_order)
    sys.stdout.write((report.json() if options.json else report.text()) + "\n")
    return report.exit_code


def _places_of_modules(root: Path) -> list[str]:
    """Return where the project's modules may be: where its tests find them, src, and its root."""
    file = root / "pyproject.toml"
    document: Any = tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
    for key in ("tool", "pytest", "ini_options"):
        document = document.get(key, {})
    said = document.get("pythonpath", [])
    given = said.split() if isinstance(said, str) else said
    return [str(root / each) for each in (".", "src", *given) if (root / each).is_dir()]
