"""Writes what was decided, over nothing that is there, and runs the first test."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pgsandbox.cli.init import interpreter
from pgsandbox.cli.init.proposals import Proposal
from pgsandbox.errors import ConfigurationError, Fact


@dataclass(frozen=True)
class Ran:
    """How the first test went."""

    is_green: bool
    """Whether it passed."""
    seconds: float
    """How long pytest took, with the start of a server where there was none."""
    output: str
    """What pytest said."""


def write(proposals: Sequence[Proposal]) -> list[tuple[Path, str | None]]:
    """Write each, and return the files with what they held before; None where there was none.

    Raises:
        ConfigurationError: one can't be written, or is there already; the others are as they were.
    """
    before: list[tuple[Path, str | None]] = []
    for each in proposals:
        held = each.path.read_text("utf-8") if each.path.exists() else None
        if held is not None and not each.is_addition:
            take_back(before)
            raise ConfigurationError(
                "A file is there that was not there before, and stays as it is.",
                facts=[Fact("file", str(each.path))],
                remedy="Run pgsandbox init again.",
            )
        text = _added(held, each) if held is not None else each.text
        try:
            each.path.parent.mkdir(parents=True, exist_ok=True)
            each.path.write_text(text, "utf-8")
        except OSError as error:
            with suppress(OSError):  # a part of it may have been written
                take_back([(each.path, held)])
            take_back(before)
            raise ConfigurationError(
                "A file could not be written, and the others are as they were.",
                facts=[Fact("file", str(each.path)), Fact("reason", str(error))],
                remedy="Let the project's folder be written to, and run pgsandbox init again.",
            ) from error
        before.append((each.path, held))
    return before


def take_back(before: Sequence[tuple[Path, str | None]]) -> None:
    """Undo what `write` did, the last first."""
    for path, held in reversed(before):
        if held is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(held, "utf-8")


def run(root: Path, test: Path) -> Ran:
    """Run the first test as its author would, but without a threshold for coverage."""
    started = time.monotonic()
    more = ["--no-cov"] if importlib.util.find_spec("pytest_cov") else []
    words = ("pytest", str(test.relative_to(root)), "-q", *more)
    done = interpreter.run(*words, cwd=root, environ={**os.environ, "NO_COLOR": "1"})
    seconds = time.monotonic() - started
    return Ran(done.returncode == 0, seconds, f"{done.stdout}{done.stderr}")


def _added(held: str, proposal: Proposal) -> str:
    if not proposal.after:
        return f"{held.rstrip()}\n{proposal.text}" if held.strip() else proposal.text.lstrip("\n")
    lines = held.splitlines(keepends=True)
    place = next(n for n, line in enumerate(lines) if line.strip() == proposal.after)
    return "".join([*lines[: place + 1], proposal.text, *lines[place + 1 :]])
