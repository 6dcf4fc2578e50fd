"""What pgsandbox says in the terminal: a header, a section below a failing test, a summary."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import pytest

from pgsandbox.wiring import Run

_SHOWN = 30


@dataclass
class Figures:
    """What the database cost this run, in seconds."""

    tests: int = 0
    """Tests that used the database."""
    preparation: float = 0.0
    """Finding the server, creating the databases, building the schema."""
    setup: float = 0.0
    """Entering the sandbox, over all tests."""
    teardown: float = 0.0
    """Leaving the sandbox, over all tests."""

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as a worker sends them."""
        return asdict(self)

    def add(self, other: dict[str, Any]) -> None:
        """Add a worker's figures; workers prepare side by side, so the longest counts."""
        self.tests += other["tests"]
        self.setup += other["setup"]
        self.teardown += other["teardown"]
        self.preparation = max(self.preparation, other["preparation"])


def header(run: Run, is_controller: bool) -> list[str]:
    """Return the lines of the report header."""
    if run.is_started:
        return [f"pgsandbox: {run.describe_server()}, database {run.describe_databases()}"]
    if run.has_server and is_controller:
        return [f"pgsandbox: {run.describe_server()}, one database for each worker"]
    return []


def sections(run: Run) -> list[tuple[str, str]]:
    """Return what a failing test did with the database, as sections of its report."""
    found = []
    for name, home in run.homes.items():
        sandbox = home.enclosure.sandbox
        if sandbox is None or not sandbox.executed:
            continue
        shown = sandbox.executed[-_SHOWN:]
        left_out = len(sandbox.executed) - len(shown)
        lines = [f"... {left_out} statements before"] if left_out else []
        lines += [f"{' '.join(each.text.split())[:300]}  [{each.connection}]" for each in shown]
        lines += [f"open transaction: {each}" for each in sandbox.open_transactions()]
        lines += [f"note: {note}" for note in sandbox.stack.notes]
        title = "SQL of this test" if name == "default" else f"SQL of this test, {name}"
        found.append((title, "\n".join(lines)))
    return found


def kept(run: Run) -> list[str]:
    """Return how to look at each database that stays after the run."""
    lines = []
    for home in run.homes.values():
        url = home.enclosure.url
        host = url.host or url.query.get("host") or ""
        parts = [f"-h {host}" if host else "", f"-p {url.port}" if url.port else ""]
        parts += [f"-U {url.username}" if url.username else "", f"-d {home.owned.name}"]
        lines.append("psql " + " ".join(part for part in parts if part))
    return lines


def summary(reporter: pytest.TerminalReporter, figures: Figures, stay: list[str]) -> None:
    """Write the closing lines, if a test used the database."""
    if figures.tests:
        noun = "test" if figures.tests == 1 else "tests"
        reporter.write_line(
            f"pgsandbox: {figures.tests} {noun} used the database; {figures.preparation:.2f} s to "
            f"prepare it, {figures.setup:.2f} s in set-up, {figures.teardown:.2f} s in teardown"
        )
    for line in stay:
        reporter.write_line(f"pgsandbox: kept; look at it with: {line}")
