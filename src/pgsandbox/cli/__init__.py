"""The terminal face: ``pgsandbox COMMAND``.

Each command is a module here with two functions: ``arguments`` declares what it takes, ``run``
does it and returns the exit code. Only the chosen one is imported, so that ``pgsandbox lint`` costs
nothing of what a database needs.

Exit codes of every command: 0 fine, 1 findings, 2 cannot run.

* ``project``: the settings of the project that a command is about, and its modules made importable;
* ``advice``: what `doctor` advises, made of what it measured;
* ``coverage``: the sum of the schema coverage of several runs;
* ``doctor``: one screen about the server;
* ``explain``: the page of an error, a rule or a setting, from the files in ``pages``;
* ``factories``: factories written and checked;
* ``init``: configuration and a first test for a project as it stands;
* ``lint``: what test files should not do;
* ``reap``: what killed runs left is dropped;
* ``schema``: models and migrations compared.

It may import everything but ``plugin``. What a command decides without a terminal belongs a layer
below: here stand arguments, printing and exit codes.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

import pgsandbox
from pgsandbox.cli import project
from pgsandbox.errors import PgSandboxError

COMMANDS: dict[str, str] = {
    "init": "Write configuration, conftest and a first green test for a project as it stands.",
    "lint": "Find in test files what leads them away from the test database.",
    "explain": "Print the page of an error, a rule or a setting.",
    "schema": "Compare the schema that the models make with the one that the migrations make.",
    "coverage": "Add up what runs with --pg-coverage have touched of the schema, and print it.",
    "factories": "Write factories from the models, and check those that are there.",
    "doctor": "Show the server that runs use, what it costs, and what to change.",
    "reap": "Drop the databases that killed runs left, and nothing else.",
}
"""The commands, each with what it does in one line."""

FINE, FINDINGS, CANNOT_RUN = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that *arguments* name, those of this process by default.

    Returns the exit code; an error of pgsandbox goes to standard error with its remedy.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(given[0] if given else "")
    options = parser.parse_args(given)
    if options.command is None:
        parser.print_help()
        return CANNOT_RUN
    command = importlib.import_module(f"pgsandbox.cli.{options.command}")
    try:
        code: int = command.run(options)
    except PgSandboxError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return CANNOT_RUN
    finally:
        if arguments is not None:
            project.stop_guarding()
    return code


def _parser(chosen: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pgsandbox",
        description="Integration tests of a SQLAlchemy application against a real PostgreSQL.",
        epilog="Exit codes: 0 fine, 1 findings, 2 cannot run.",
    )
    parser.add_argument("--version", action="version", version=pgsandbox.__version__)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary)
        if name == chosen:
            importlib.import_module(f"pgsandbox.cli.{name}").arguments(subparser)
    return parser
