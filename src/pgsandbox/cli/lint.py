"""``pgsandbox lint``: what test files should not do, found without running them."""

from __future__ import annotations

import argparse
import gc
import io
import os
import sys
from pathlib import Path

from pgsandbox import config, lint
from pgsandbox.cli.project import pythonpath
from pgsandbox.config import Settings
from pgsandbox.errors import ConfigurationError, Fact
from pgsandbox.lint import BY_CODE, Project, Rule
from pgsandbox.reports import Report

_FORMATS = ("text", "json", "github")
_FILE = "pyproject.toml"
_DEFAULT = Path("tests/integration")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="files or folders of tests; those of the setting paths by default",
    )
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        default="text",
        help="for people, programs, or GitHub's annotations (default: text)",
    )
    parser.add_argument(
        "--json",
        action="store_const",
        const="json",
        dest="format",
        help="the same as --format json",
    )
    parser.add_argument(
        "--root",
        type=Path,
        help="the directory of pyproject.toml (default: the nearest one, from here upwards)",
    )
    parser.add_argument(
        "--explain", metavar="CODE", help="say why a rule is one, with examples, and read no file"
    )


def run(options: argparse.Namespace) -> int:
    """Print what was found; return 0 for nothing, 1 for something."""
    if options.explain:
        from pgsandbox.cli.explain import explain_rule

        _print(explain_rule(_rule(options.explain)))
        return 0
    project = _project(options.root or _root(Path.cwd()), options.paths)
    # Millions of nodes and no cycle among them: the collector would only go through them.
    gc.disable()
    report = lint.check(project)
    gc.enable()
    _print(_rendered(report, options.format))
    return report.exit_code


def _rule(code: str) -> Rule:
    rule = BY_CODE.get(code.strip().upper())
    if rule is None:
        raise ConfigurationError(
            f"There is no rule {code}.",
            facts=[Fact("rules", ", ".join(BY_CODE))],
            remedy="Write one of them behind --explain.",
        )
    return rule


def _project(given_root: Path, given: list[Path]) -> Project:
    root = given_root.absolute()
    settings = config.read(root, os.environ, {})
    configured = _configured(root, settings)
    named = tuple(path.absolute() for path in given)
    for path in named or configured:
        if not path.exists():
            raise _no_such_path(path, root, settings, is_given=bool(given))
    return Project(
        root=root,
        paths=tuple(path for path in named if _is_below(path, configured)) if given else configured,
        given=tuple(path for path in named if not _is_below(path, configured)),
        sources=tuple(pythonpath(root)),
        forbidden=settings.forbidden_imports if settings else (),
        redirect=settings.redirect if settings else False,
        with_conftests_above=not given,
    )


def _root(here: Path) -> Path:
    return next((each for each in (here, *here.parents) if (each / _FILE).is_file()), here)


def _configured(root: Path, settings: Settings | None) -> tuple[Path, ...]:
    return settings.paths if settings else (root / _DEFAULT,)


def _is_below(path: Path, folders: tuple[Path, ...]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _no_such_path(
    path: Path, root: Path, settings: Settings | None, *, is_given: bool
) -> ConfigurationError:
    source = settings.source_of("paths") if settings else "default"
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return ConfigurationError(
        f"There is no {shown.as_posix()} to read.",
        facts=[
            Fact("path", str(path), "command line" if is_given else source),
            Fact("project", str(root)),
        ],
        remedy="Name files or folders of tests behind the command, or set paths in "
        "[tool.pgsandbox].",
    )


def _rendered(report: Report, form: str) -> str:
    if form == "json":
        return report.json()
    if form == "github":
        return report.annotations()
    return report.text()


def _print(text: str) -> None:
    # A file's name or a message may hold what the terminal's encoding does not.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stdout.write(f"{text}\n")
