"""Findings, and reports of them for people and for machines.

A check of the kit (``lint``, ``schema diff``, the factories' check) returns findings and prints
nothing; whoever asked renders them. Standard library only, like everything that has to be fast on
a machine without a database.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Finding:
    """One thing that a check found, with the place where somebody can mend it."""

    code: str
    """The rule that it breaks, as an ignore comment or a setting names it."""
    message: str
    """What was found, in one line."""
    subject: str = ""
    """What it was found in, where that is no file: a table, a constraint, a factory."""
    path: str | None = None
    """The file, relative to the project's root."""
    line: int | None = None
    """Its line, counted from 1."""
    column: int | None = None
    """Its column, counted from 1."""
    details: Mapping[str, str] = field(default_factory=dict)
    """What a reader compares, by name: both definitions, the statement that reconciles them."""
    remedy: str = ""
    """What to do instead."""
    page: str = ""
    """The page that explains the rule."""

    @property
    def place(self) -> str:
        """Where it is, as editors and terminals understand it."""
        parts = [self.path or self.subject, self.line, self.column]
        return ":".join(str(part) for part in parts if part)


@dataclass(frozen=True)
class Report:
    """What a check found, in an order that does not depend on the machine."""

    findings: tuple[Finding, ...]
    summary: str
    """One line about the whole: how much was looked at, how much was found."""

    @property
    def exit_code(self) -> int:
        """0 where nothing was found, 1 where something was."""
        return 1 if self.findings else 0

    def text(self) -> str:
        """Return the report for a terminal."""
        blocks = [_block(finding) for finding in self.findings]
        return "\n".join([*blocks, self.summary])

    def json(self) -> str:
        """Return the report for a program: an object with ``summary`` and ``findings``."""
        findings = [_as_dict(finding) for finding in self.findings]
        return json.dumps({"summary": self.summary, "findings": findings}, indent=2)

    def annotations(self) -> str:
        """Return the report as GitHub's workflow commands, which mark the lines of a change."""
        lines = [_annotation(finding) for finding in self.findings]
        return "\n".join([*lines, self.summary])


class Ignore(Protocol):
    """An entry by which a project lives with findings."""

    @property
    def object(self) -> str:
        """What it is about."""

    @property
    def reason(self) -> str:
        """Why the findings may stay."""

    @property
    def finding(self) -> str:
        """The code of the findings; empty, or ``*``, for any."""

    def covers(self, found: Finding) -> bool:
        """Say whether *found* is meant."""


def left_over(
    found: Sequence[Finding], ignored: Sequence[Ignore], setting: str, page: str
) -> list[Finding]:
    """Return what no entry of *setting* ignores, and a finding for each that ignores nothing."""
    kept = [each for each in found if not any(entry.covers(each) for entry in ignored)]
    unused = [entry for entry in ignored if not any(entry.covers(each) for each in found)]
    return kept + [
        Finding(
            "ignore-unused",
            f"The entry in {setting} matches nothing that was found.",
            subject=entry.object,
            details={"finding": entry.finding or "any", "reason": entry.reason},
            remedy="Remove it.",
            page=f"{page}#ignore-unused",
        )
        for entry in unused
    ]


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return *findings* by place, then by code."""
    return tuple(sorted(findings, key=_order))


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each of *rows*, whose cells stand below each other; short rows are filled.

    The last column has no end of its own.
    """
    most = max(map(len, rows), default=0)
    padded = [[*row, *[""] * (most - len(row))] for row in rows]
    widths = [max(map(len, column)) for column in zip(*padded, strict=True)]
    widths[-1:] = [0]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in padded
    ]


def _order(finding: Finding) -> tuple[str, int, int, str, str, str]:
    place = finding.path or "", finding.line or 0, finding.column or 0, finding.subject
    return *place, finding.code, finding.message


def _block(finding: Finding) -> str:
    lines = [f"{finding.place}: {finding.code} {finding.message}"]
    width = max((len(name) for name in finding.details), default=0)
    for name, value in finding.details.items():
        first, *rest = value.splitlines() or [""]
        lines.append(f"  {name:<{width}}  {first}".rstrip())
        lines.extend(f"  {'':<{width}}  {line}".rstrip() for line in rest)
    if finding.remedy:
        lines.append(f"  {finding.remedy}")
    return "\n".join(lines)


def _as_dict(finding: Finding) -> dict[str, Any]:
    values = {
        "code": finding.code,
        "message": finding.message,
        "subject": finding.subject,
        "path": finding.path,
        "line": finding.line,
        "column": finding.column,
        "details": dict(finding.details),
        "remedy": finding.remedy,
        "page": finding.page,
    }
    return {name: value for name, value in values.items() if value not in (None, "", {})}


def _annotation(finding: Finding) -> str:
    places = {"file": finding.path, "line": finding.line, "col": finding.column}
    given = [f"{name}={_escaped(str(value))}" for name, value in places.items() if value]
    given.append(f"title={_escaped(finding.code)}")
    message = " ".join(filter(None, [finding.subject, finding.message, finding.remedy]))
    return f"::error {','.join(given)}::{_escaped(message, is_message=True)}"


def _escaped(text: str, *, is_message: bool = False) -> str:
    """Return *text* as GitHub's workflow commands quote it."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text if is_message else text.replace(":", "%3A").replace(",", "%2C")
