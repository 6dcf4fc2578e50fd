"""A file that ``pgsandbox init`` would write, line by line, with the reason for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Line:
    """A line of a file."""

    text: str
    """What it says."""
    why: str = ""
    """Why it says that; nothing where a line above has the reason."""


@dataclass(frozen=True)
class Proposal:
    """What would be written into one file."""

    path: Path
    """The file."""
    lines: Sequence[Line]
    """What would be written."""
    purpose: str
    """What the file is for, in one line."""
    after: str = ""
    """The line of an existing file that the lines go behind; its end where this is nothing."""
    is_addition: bool = False
    """Whether they are added to a file that is there."""

    @property
    def text(self) -> str:
        """The lines, as they are written."""
        return "".join(f"{line.text}\n" for line in self.lines)


@dataclass(frozen=True)
class Plan:
    """Everything that would be written, and what is left to people."""

    proposals: Sequence[Proposal]
    """The files to write."""
    there: Sequence[str] = ()
    """What is there already and stays as it is, with what it lacks."""
    notes: Sequence[str] = ()
    """What has to be known or done besides."""
    obstacle: str = ""
    """Why there can be no first test yet; empty where there can."""
    test: Path | None = None
    """The file of the first test."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """What ``[tool.pgsandbox]`` would say."""
