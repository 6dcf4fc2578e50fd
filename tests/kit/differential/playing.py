"""Plays the behaviours on one side, in a pytest of their own."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.kit.differential.comparing import Compared, Transcript, compare, read
from tests.kit.differential.limits import LIMITS
from tests.kit.integration.plugin.projects import Project
from tests.kit.integration.recorded import EXAMPLES

DEATHS = 150
"""As many tests may hang, or end their process, before a side is given up."""


@dataclass(frozen=True)
class Stage:
    """A folder in which both sides are played."""

    folder: Path
    """Empty, and deleted by the caller."""
    patience: float = 30.0
    """How many seconds a test may take before it counts as hanging."""

    def compared(self, *arguments: str, first: str = "sandbox") -> list[Compared]:
        """Play the tests that pytest's *arguments* select on both sides, and compare them.

        *first* may be ``clone``: real connections on both sides, which shows whether the
        behaviours themselves say the same twice.
        """
        mine = self.play(first, "first", *arguments)
        theirs = self.play("clone", "second", *arguments)
        limits = LIMITS if first == "sandbox" else {}
        nothing = Transcript()
        names = list(dict.fromkeys([*theirs, *mine]))
        return [
            compare(name, mine.get(name, nothing), theirs.get(name, nothing), limits)
            for name in names
        ]

    def play(self, side: str, name: str, *arguments: str) -> dict[str, Transcript]:
        """Play one *side* to its end, and return its transcripts."""
        path = self.folder / name
        if not path.exists():
            shutil.copytree(EXAMPLES / "behaviours", path)
        project = Project(path)
        record = self.folder / f"{name}.jsonl"
        record.unlink(missing_ok=True)
        given = [f"--side={side}", f"--record={record}", f"--patience={self.patience}"]
        for _ in range(DEATHS):
            outcome = project.run(*given, *arguments, seconds=1800)
            if not record.exists():
                raise RuntimeError(f"the side {side} did not begin:\n{outcome.text}")
            if '"finished"' in record.read_text():
                return read(record)
        raise RuntimeError(f"the side {side} died {DEATHS} times:\n{outcome.text}")
