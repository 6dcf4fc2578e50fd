"""The project that a command is about: its settings, and its modules made importable."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pgsandbox import config
from pgsandbox.config import Settings
from pgsandbox.errors import ConfigurationError, Fact


def root_argument(parser: argparse.ArgumentParser) -> None:
    """Let *parser* take the project's directory."""
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(),
        help="the directory of pyproject.toml, or one below it (default: here)",
    )


def settings_of(directory: Path) -> Settings:
    """Return the settings of the project that *directory* belongs to.

    Its modules can be imported afterwards as in a test run: from what pytest's setting
    ``pythonpath`` names, from its root, and from src. Raises ConfigurationError where no
    pyproject.toml from there upwards configures pgsandbox.
    """
    start = directory.resolve()
    root = config.find([start]) or _root_with_a_file(start)
    settings = config.read(root, os.environ, {}) if root is not None else None
    if root is not None and settings is not None:
        for path in reversed((*pythonpath(root), root, root / "src")):
            sys.path.insert(0, str(path))
        guard_imports(settings)
        return settings
    raise ConfigurationError(
        "There is no project here that uses pgsandbox.",
        facts=[
            Fact("looked for", "[tool.pgsandbox] in pyproject.toml"),
            Fact("from", str(start), "and upwards"),
        ],
        remedy="Run the command in the project's directory, or name it with --root.",
    )


def pythonpath(root: Path) -> list[Path]:
    """Return the folders that pytest puts on the path, as the project's pyproject.toml names them.

    Both of pytest's tables may name them: ``[tool.pytest]`` and ``[tool.pytest.ini_options]``.
    """
    try:
        document: dict[str, Any] = tomllib.loads((root / config.FILE).read_text("utf-8"))
        table = document["tool"]["pytest"]
        named = {**table, **table.get("ini_options", {})}.get("pythonpath", [])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return [root / each for each in (named.split() if isinstance(named, str) else named)]


def guard_imports(settings: Settings) -> None:
    """Refuse from now on what a test run refuses: the project's code is about to be imported.

    A command's process keeps it to its end, so that handlers at exit and threads are refused.
    """
    from pgsandbox.sandbox.interceptor import ConnectionInterceptor  # SQLAlchemy comes with it
    from pgsandbox.sandbox.running_test import RunningTest
    from pgsandbox.wiring.resolving import judge_of

    test = RunningTest()
    test.running = "a command of pgsandbox imports the project's code"
    interceptor = ConnectionInterceptor(judge_of(settings, test))
    interceptor.install()
    _guards.append(interceptor.remove)


@contextlib.contextmanager
def run_that_guards(settings: Settings) -> Iterator[None]:
    """Leave the guard to the run that the block starts, which knows its own databases."""
    stop_guarding()
    try:
        yield
    finally:
        guard_imports(settings)


def stop_guarding() -> None:
    """Let the process that has called a command as a function go on as before."""
    while _guards:
        _guards.pop()()


_guards: list[Callable[[], None]] = []


def _root_with_a_file(start: Path) -> Path | None:
    """The project's root where a variable configures it, and no table does."""
    return next((each for each in (start, *start.parents) if (each / config.FILE).is_file()), None)
