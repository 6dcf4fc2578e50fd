"""Compares what a behaviour did in the sandbox with what it did on real connections."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

_REFUSED = "REFUSED "


@dataclass
class Transcript:
    """What became of one behaviour on one side."""

    lines: list[str] | None = None
    """What it wrote down; None if it never came to its end."""
    ends: list[str] = field(default_factory=list)
    """What failed the test around it, in its set-up or at its end."""


class Verdict(Enum):
    """How the sandbox's transcript compares with the real one."""

    SAME = "same"
    """Not one word differs."""
    REFUSED = "refused by name"
    """Where it begins to differ stands an error of ours."""
    LIMITED = "documented limit"
    """It differs, and is declared with a limit of the documentation."""
    DIFFERENT = "different"
    """It differs, and nobody says so."""
    UNREAL = "not comparable"
    """It failed on real connections: the behaviour itself is wrong."""


@dataclass(frozen=True)
class Compared:
    """One behaviour and its verdict."""

    name: str
    """Its area, its function and its drivers."""
    verdict: Verdict
    """How it compares."""
    why: str = ""
    """The refusal's name, the limit, or where both begin to differ."""
    end: str = ""
    """What the sandbox said at the end of its test, by name."""

    @property
    def area(self) -> str:
        """The part of the name before the dot."""
        return self.name.partition(".")[0]

    @property
    def function(self) -> str:
        """The name without its drivers."""
        return self.name.partition("[")[0]

    def is_in(self, names: Container[str]) -> bool:
        """Whether *names* has it, by its driver or for all of them."""
        return self.name in names or self.function in names

    def __str__(self) -> str:
        """The verdict with its reason."""
        return f"{self.name}: {self.verdict.value}{f': {self.why}' if self.why else ''}"


def read(record: Path) -> dict[str, Transcript]:
    """Return the transcripts of a side's record by the behaviours' names."""
    found: dict[str, Transcript] = {}
    for line in record.read_text().splitlines():
        entry = json.loads(line)
        if not entry["id"]:
            continue
        transcript = found.setdefault(entry["id"], Transcript())
        if entry["phase"] == "played":
            transcript.lines = entry["lines"]
        elif entry["phase"] == "end":
            transcript.ends.append(entry["text"])
    return found


def compare(
    name: str, sandboxed: Transcript, real: Transcript, limits: Mapping[str, str]
) -> Compared:
    """Return the verdict on one behaviour.

    *limits* has the names of the behaviours that are declared to differ, for all drivers where no
    driver is named, with the limit. One that is declared and does not differ is as wrong as one
    that differs and is not declared.
    """
    wrong = _failure_of(real)
    if wrong:
        return Compared(name, Verdict.UNREAL, f"on real connections: {wrong}")
    place = _first_difference(sandboxed, real)
    verdict, why = _same(name, sandboxed, limits) if place is None else _other(name, place, limits)
    return Compared(name, verdict, why, "; ".join(sandboxed.ends))


def _same(name: str, sandboxed: Transcript, limits: Mapping[str, str]) -> tuple[Verdict, str]:
    # What the sandbox says by name at the end of a test is no difference of the behaviour.
    unnamed = [end for end in sandboxed.ends if not end.isidentifier()]
    if unnamed:
        return Verdict.DIFFERENT, f"at the end of the test: {unnamed[0]}"
    if _limit_of(name, limits):
        return Verdict.DIFFERENT, "declared as a limit, and does not differ"
    return Verdict.SAME, ""


def _other(name: str, place: tuple[str, str], limits: Mapping[str, str]) -> tuple[Verdict, str]:
    mine, theirs = place
    if _REFUSED in mine:
        return Verdict.REFUSED, mine.partition(_REFUSED)[2].split()[0].strip("[]();,")
    limit = _limit_of(name, limits)
    if limit:
        return Verdict.LIMITED, limit
    return Verdict.DIFFERENT, f"\n    real     {theirs}\n    sandbox  {mine}"


def _limit_of(name: str, limits: Mapping[str, str]) -> str:
    return limits.get(name) or limits.get(name.partition("[")[0], "")


def table(all_compared: Iterable[Compared], *, by_area: bool = True) -> str:
    """Return the figures of each area, and of all."""
    rows: dict[str, dict[Verdict, int]] = {}
    for each in all_compared:
        for area in [each.area, "all"] if by_area else ["all"]:
            counts = rows.setdefault(area, dict.fromkeys(Verdict, 0))
            counts[each.verdict] += 1
    rows["all"] = rows.pop("all", dict.fromkeys(Verdict, 0))
    width = max(len(area) for area in rows)
    verdicts = [each for each in Verdict if each is not Verdict.UNREAL or rows["all"][each]]
    head = "  ".join(["area".ljust(width), "behaviours", *(each.value for each in verdicts)])
    lines = [head, "-" * len(head)]
    for area, counts in rows.items():
        cells = [f"{counts[each]:>{len(each.value)}}" for each in verdicts]
        lines.append("  ".join([area.ljust(width), f"{sum(counts.values()):>10}", *cells]))
    return "\n".join(lines)


def _failure_of(real: Transcript) -> str:
    if real.lines is None:
        return "it hangs, or its process dies"
    if real.ends:
        return real.ends[0]
    return next((line for line in real.lines if line.startswith(("RAISED", "REFUSED"))), "")


def _first_difference(sandboxed: Transcript, real: Transcript) -> tuple[str, str] | None:
    assert real.lines is not None
    if sandboxed.lines is None:
        end = sandboxed.ends[0] if sandboxed.ends else "it hangs, or its process dies"
        return f"{_REFUSED if end.isidentifier() else ''}{end}", f"{len(real.lines)} lines"
    if sandboxed.lines == real.lines:
        return None
    longest = max(len(sandboxed.lines), len(real.lines))
    for place in range(longest):
        mine, theirs = _line(sandboxed.lines, place), _line(real.lines, place)
        if mine != theirs:
            return mine, theirs
    raise AssertionError("unequal lists differ somewhere")


def _line(lines: list[str], place: int) -> str:
    return lines[place] if place < len(lines) else "(nothing more)"
