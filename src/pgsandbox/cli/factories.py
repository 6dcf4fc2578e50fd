"""``pgsandbox factories``: factories written from the models, and checked against them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pgsandbox.cli import FINDINGS, FINE
from pgsandbox.cli.project import root_argument, run_that_guards, settings_of
from pgsandbox.config import Settings
from pgsandbox.errors import ConfigurationError, Fact

if TYPE_CHECKING:
    from pgsandbox.factories.generating import Generated


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    generate = actions.add_parser(
        "generate",
        help="write a module with a factory for each mapped class",
        description="Write a module with a factory for each mapped class. No database is needed.",
        epilog="Exit codes: 0 written, or the same; 1 --check found a difference; 2 cannot run.",
    )
    generate.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="where to write; - is standard output "
        "(default: factories.py in the first folder of the setting paths)",
    )
    generate.add_argument("--force", action="store_true", help="replace a file that is there")
    generate.add_argument(
        "--check", action="store_true", help="write nothing; say whether the file would change"
    )
    check = actions.add_parser(
        "check",
        help="compare the factories with the models, and write their objects",
        description="Compare the factories with the models, and write their objects into a "
        "database that is made for it and dropped again.",
        epilog="Exit codes: 0 no finding, 1 findings, 2 cannot run.",
    )
    for action in (generate, check):
        action.add_argument("--json", action="store_true", help="print an object for programs")
        root_argument(action)


def run(options: argparse.Namespace) -> int:
    """Generate or check, print, and return the exit code."""
    settings = settings_of(options.root)
    if options.action == "generate":
        return _generate(settings, options)
    from pgsandbox.factory_checks import check_factories  # SQLAlchemy comes with it

    with run_that_guards(settings):
        report = check_factories(settings)
    sys.stdout.write((report.json() if options.json else report.text()) + "\n")
    return report.exit_code


def _generate(settings: Settings, options: argparse.Namespace) -> int:
    from pgsandbox.factory_checks import generate_factories  # SQLAlchemy comes with it

    if options.output == Path("-"):
        sys.stdout.write(generate_factories(settings).text)
        return FINE
    place = _place(settings, options.output)
    if place.exists() and not (options.force or options.check):
        raise ConfigurationError(
            f"{_shown(place, settings)} is there already, and nothing was written.",
            facts=[Fact("file", str(place))],
            remedy="Replace it with --force, or print the module with --output - and take over "
            "what you need.",
        )
    made = generate_factories(settings)
    is_same = place.is_file() and place.read_text("utf-8") == made.text
    if not is_same and not options.check:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(made.text, "utf-8")
    _say(made, settings, place, options, is_same=is_same)
    return FINDINGS if options.check and not is_same else FINE


def _place(settings: Settings, given: Path | None) -> Path:
    if given is not None:
        return given.absolute()
    return settings.paths[0] / "factories.py"


def _say(
    made: Generated,
    settings: Settings,
    place: Path,
    options: argparse.Namespace,
    *,
    is_same: bool,
) -> None:
    what = "is as it would be written" if is_same else "would change" if options.check else ""
    if options.json:
        said = {
            "file": _shown(place, settings),
            "factories": made.factories,
            "marks": made.marks,
            "changed": not is_same,
        }
        sys.stdout.write(f"{json.dumps(said, indent=2)}\n")
        return
    sys.stdout.write(f"{_shown(place, settings)}{f' {what}' if what else ''}: ")
    sys.stdout.write(f"{made.factories} factories, {_places(made.marks)}\n")


def _places(number: int) -> str:
    if number == 0:
        return "no place waits for you"
    if number == 1:
        return '1 place waits for you, at "Your turn:"'
    return f'{number} places wait for you, at "Your turn:"'


def _shown(place: Path, settings: Settings) -> str:
    shown = place.relative_to(settings.root) if place.is_relative_to(settings.root) else place
    return shown.as_posix()
