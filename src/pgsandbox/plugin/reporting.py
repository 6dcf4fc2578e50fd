"""What pgsandbox says in the terminal: a header, a section below a failing test, a summary."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL

from pgsandbox.config import Settings
from pgsandbox.errors import ConfigurationError, PgSandboxError
from pgsandbox.guard import masked, masked_place, masked_sql
from pgsandbox.plugin import failure_report, missing_greenlet, missing_table
from pgsandbox.sandbox.endpoint.sessions import Late
from pgsandbox.schema import coverage
from pgsandbox.wiring import DEFAULT, Run

_SHOWN = 30
"""Lines of a failing test's section, for the statements and for all else."""

_THREADS = 10
"""Lines of the summary about threads that outlived their tests."""

_REFUSALS = 3
"""Refusals that a failing test's section shows."""


@dataclass
class Figures:
    """What the database cost this run, in seconds."""

    tests: int = 0
    """Tests that opened the database."""
    preparation: float = 0.0
    """Finding the server, creating the databases, building the schema."""
    setup: float = 0.0
    """Entering the sandbox, over all tests."""
    teardown: float = 0.0
    """Leaving the sandbox, over all tests."""
    removal: float = 0.0
    """Dropping the databases and releasing the server."""

    def add(self, other: dict[str, Any]) -> None:
        """Add a worker's figures; workers prepare and drop side by side, so the longest counts."""
        self.tests += other["tests"]
        self.setup += other["setup"]
        self.teardown += other["teardown"]
        self.preparation = max(self.preparation, other["preparation"])
        self.removal = max(self.removal, other["removal"])


@dataclass
class RunSummary:
    """What is to be said when the run is over; a worker of pytest-xdist sends it on."""

    figures: Figures = field(default_factory=Figures)
    kept: list[str] = field(default_factory=list)
    """How to look at each database that stays."""
    problems: list[str] = field(default_factory=list)
    """What went wrong at the end."""
    refusal: str = ""
    """Why a worker ran no test."""
    waits: list[float] = field(default_factory=list)
    """How many seconds each test with a database of its own waited for it."""
    notes: list[str] = field(default_factory=list)
    """What is worth knowing, and wrong with nothing."""

    late: list[tuple[str, str]] = field(default_factory=list)
    """Who went on after its test, and when."""
    swallowed: list[str] = field(default_factory=list)
    """Tests that passed although a refusal was caught in them, each with the first refusal."""
    pending: list[str] = field(default_factory=list)
    """Tests that passed and left tasks, each with them."""
    repeated: list[tuple[str, int, str]] = field(default_factory=list)
    """Lines of the application that sent a statement again and again: line, times, test."""

    coverage: dict[str, Any] = field(default_factory=dict)
    """What the tests touched of each database's schema, as data."""

    uncommitted: list[str] = field(default_factory=list)
    """Tests that passed although the application wrote without a commit, each with a line of it."""

    refused_hooks: dict[str, str] = field(default_factory=dict)
    """What hooks at the run's end were refused, by the hook if it is one to be deleted."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as a worker sends it."""
        return asdict(self)

    def add(self, other: dict[str, Any]) -> None:
        """Add what a worker sent."""
        self.figures.add(other["figures"])
        self.kept.extend(other["kept"])
        self.problems.extend(other["problems"])
        self.refusal = self.refusal or other["refusal"]
        self.waits.extend(other["waits"])
        self.swallowed.extend(other["swallowed"])
        self.late.extend((who, when) for who, when in other["late"])
        self.pending.extend(other["pending"])
        self.uncommitted.extend(other["uncommitted"])
        self.repeated.extend(other["repeated"])
        if other["coverage"]:
            several = [coverage.from_dicts(each) for each in (self.coverage, other["coverage"])]
            self.coverage = coverage.as_dicts(coverage.combined(several))
        self.refused_hooks = {**other["refused_hooks"], **self.refused_hooks}
        self.notes.extend(note for note in other["notes"] if note not in self.notes)


def header(run: Run, is_controller: bool) -> list[str]:
    """Return the lines of the report header."""
    if run.is_started:
        return [f"pgsandbox: {run.describe_server()}, database {run.describe_databases()}"]
    if run.has_server and is_controller:
        return [f"pgsandbox: {run.describe_server()}, one database for each worker"]
    return []


def sections(run: Run, failure: BaseException, verbosity: int) -> list[tuple[str, str]]:
    """Return what a failing test did with the database, as sections of its report."""
    told = [*_stories(run, failure)]
    return told + _statements(run) if verbosity > 1 or run.test.is_in_clone else told


def _stories(run: Run, failure: BaseException) -> Iterator[tuple[str, str]]:
    """Yield why a test in its sandbox is red, for each database."""
    for name, run_database in run.run_databases.items():
        database = run_database.database
        try:
            story = database.story() if database.clone is None else None
        except PgSandboxError:
            continue  # its own error says what became of it
        if not story or not story["statements"]:
            continue
        text = failure_report.text_of(
            story,
            run.test.places,
            failure,
            restarts_sequences=run.settings.restart_sequences,
            moves_clock=run.settings.clock == "moving",
        )
        _, notes = database.describe()
        unseen = run.unseen(run_database)
        notes = [*notes, unseen] if unseen else notes
        lines = [*([text] if text else []), *(f"note: {_one_line(each)}" for each in notes)]
        if not lines:
            continue  # all that was sent began or ended a transaction
        title = "what PostgreSQL saw"
        title = title if name == DEFAULT else f"{title}, {name}"
        yield title, "\n".join(lines)


def _statements(run: Run) -> list[tuple[str, str]]:
    """Return every statement of a failing test, up to a bound."""
    found = []
    for name, run_database in run.run_databases.items():
        try:
            executed = run_database.database.executed()
        except PgSandboxError:
            continue  # its own error says what became of it
        if not executed:
            continue
        shown = executed[-_SHOWN:]
        left_out = len(executed) - len(shown)
        lines = [f"... {left_out} statements before"] if left_out else []
        lines += [f"{_one_line(each.text)}  [{each.connection}]" for each in shown]
        more = []
        if run_database.database.clone is None:
            transactions, _ = run_database.database.describe()
            more = [f"open transaction: {_one_line(each)}" for each in transactions]
        title = "SQL of this test" if name == DEFAULT else f"SQL of this test, {name}"
        found.append((title, "\n".join(lines + more[:_SHOWN])))
    return found


def swallowed(run: Run, test: Path) -> list[PgSandboxError]:
    """Return the refusals of the running test that did not reach the code in its file *test*.

    What a traceback begins with is the frame that caught it: the application's, or a thread's. A
    refusal that the test itself has caught, with pytest.raises say, is what it is about.
    """
    return [each for each in list(run.test.refused) if not _is_caught_in(each, test)]


def line_of_swallowed(test: str, error: PgSandboxError) -> str:
    """Return the line of the summary about *test*, in which *error* was caught."""
    places = [each.value for each in error.facts if each.name == "opened at"]
    return f"{test} ({type(error).__name__}{f' at {places[0]}' if places else ''})"


def line_of_late(late: Late) -> tuple[str, str]:
    """Return what the summary says of somebody who went on after a test: who it was, and what."""
    what = "was refused" if late.was_refused else "used the database"
    when = "before the next test" if late.running == "no test is running" else f"in {late.running}"
    return f"{late.who} went on after its test and {what}", f"after {late.test}, {when}"


def _outlived(totals: RunSummary) -> list[str]:
    """Return the lines about what went on after its test, one for each of whom that is said."""
    times: dict[str, list[str]] = {}
    for who, when in totals.late:
        times.setdefault(who, []).append(when)
    lines = [
        f"{who}: {found[0]}" + f" ({len(found)} times in all)" * (len(found) > 1)
        for who, found in times.items()
    ]
    more = [f"{len(lines) - _THREADS} others went on after their tests"]
    return lines[:_THREADS] + more * (len(lines) > _THREADS)


def _is_caught_in(error: BaseException, file: Path) -> bool:
    raised = error.__traceback__
    return raised is not None and Path(raised.tb_frame.f_code.co_filename) == file


def refused(run: Run, failure: BaseException) -> list[tuple[str, str]]:
    """Return the connections that were refused in a failing test, apart from its *failure* itself.

    A library may have caught the refusal, and failed later for want of a connection.
    """
    # Other threads may be refused something while this reads.
    found = [*run.test.refused, *run.test.refused_to_others]
    others = dict.fromkeys(str(each) for each in found if each is not failure)
    text = "\n\n".join(list(others)[:_REFUSALS])
    return [("connections that were refused", text)] if others else []


def explained(run: Run, failure: BaseException, left: list[str]) -> list[tuple[str, str]]:
    """Return what the *failure* means where its own words do not say, and the tasks *left*."""
    hint = missing_greenlet.hint(failure)
    found = [("what MissingGreenlet means here", hint)] if hint else []
    hint = missing_table.hint(failure, run.settings.schema, run.project.known_tables)
    found += [("why the table is missing", hint)] if hint else []
    if left:
        found.append(("tasks that the test has left pending", "\n".join(left)))
    return found


def lines_of_kept(run: Run) -> list[str]:
    """Return how to look at each database that stays after the run, and how to end that."""
    lines = [line_of_kept(run.url_of(name)) for name in run.run_databases]
    pid = run.find_server().keep() if lines else None
    if pid is not None:
        lines.append(f"the embedded server runs on for it; stop both with: kill {pid}")
    return lines


def line_of_kept(url: URL) -> str:
    """Return how to look at the database at *url*, which stays."""
    return f"{url.database} is kept; look at it with: {_psql(url)}"


def summary(reporter: pytest.TerminalReporter, totals: RunSummary) -> None:
    """Write the closing lines: the figures, what stays, and what went wrong."""
    figures = totals.figures
    if figures.tests and reporter.verbosity >= 0:
        noun = "test" if figures.tests == 1 else "tests"
        reporter.write_line(
            f"pgsandbox: {figures.tests} {noun} used the database; {figures.preparation:.2f} s to "
            f"prepare it, {figures.setup:.2f} s in set-up, {figures.teardown:.2f} s in teardown, "
            f"{figures.removal:.2f} s to drop it"
        )
    if totals.waits and reporter.verbosity >= 0:
        noun = "clone was" if len(totals.waits) == 1 else "clones were"
        mean = sum(totals.waits) / len(totals.waits)
        reporter.write_line(
            f"pgsandbox: {len(totals.waits)} {noun} ready after {mean * 1000:.0f} ms on average, "
            f"{max(totals.waits) * 1000:.0f} ms at most"
        )
    for line in totals.swallowed:
        reporter.write_line(
            f"pgsandbox: a refusal was caught in a passing test: {line}", yellow=True
        )
    for line in totals.uncommitted:
        reporter.write_line(f"pgsandbox: a passing test left work uncommitted: {line}", yellow=True)
    for line in _repeated(totals.repeated):
        reporter.write_line(f"pgsandbox: a query per row: {line}", yellow=True)
    for line in _outlived(totals):
        reporter.write_line(f"pgsandbox: {line}", yellow=True)
    for line in totals.pending:
        reporter.write_line(f"pgsandbox: a passing test has left tasks: {line}", yellow=True)
    for line in (*totals.kept, *totals.notes):
        reporter.write_line(f"pgsandbox: {line}")
    for line in (*totals.problems, *totals.refused_hooks.values()):
        reporter.write_line(f"pgsandbox: {line}", red=True)
    totals.problems.clear()
    totals.refused_hooks.clear()


def coverage_summary(
    reporter: pytest.TerminalReporter, totals: RunSummary, settings: Settings
) -> bool:
    """Write the data file and what else was asked for, and print what no test has touched.

    Returns:
        Whether all of it could be written.
    """
    found = coverage.from_dicts(totals.coverage)
    refused: list[ConfigurationError] = []
    for file in (settings.coverage_file, settings.coverage_json):
        if file is not None:
            try:
                coverage.write(found, file)
            except ConfigurationError as error:
                refused.append(error)
    for name, each in found.items():
        reporter.section(f"schema coverage{f' of {name}' if len(found) > 1 else ''}")
        for line in coverage.table_of(each):
            reporter.write_line(line)
    if settings.coverage_html is not None:
        try:
            reporter.write_line(f"pages: {coverage.write_pages(found, settings.coverage_html)}")
        except ConfigurationError as error:
            refused.append(error)
    for refusal in refused:
        reporter.write_line(f"pgsandbox: {refusal}", red=True)
    if problem := is_below_threshold(totals, settings):
        reporter.write_line(f"pgsandbox: {problem}", red=True)
    return not refused


def is_below_threshold(totals: RunSummary, settings: Settings) -> str:
    """Return what to say if less of a schema was touched than the settings want."""
    found = coverage.from_dicts(totals.coverage)
    low = [each.percent for each in found.values() if each.percent < settings.coverage_threshold]
    if not low:
        return ""
    wanted = f"{settings.coverage_threshold:g} %"
    return f"schema coverage is {min(low):.1f} %, and coverage-threshold wants {wanted}"


def _repeated(found: list[tuple[str, int, str]]) -> list[str]:
    """Return a line for each place, the worst first, with the test in which it was the worst."""
    places: dict[str, list[tuple[int, str]]] = {}
    for place, count, test in found:
        places.setdefault(place, []).append((count, test))
    lines = []
    for place, of_tests in sorted(places.items(), key=lambda each: -max(each[1])[0]):
        count, test = max(of_tests)
        others = len({each for _, each in of_tests}) - 1
        also = f" and {others} other test{'s' if others > 1 else ''}" if others else ""
        lines.append(f"{count} times in one transaction at {place} ({test}{also})")
    return lines


def _psql(url: URL) -> str:
    """Return the command that opens *url*; psql asks for the password."""
    shown = url.set(drivername="postgresql")._replace(password=None)
    if shown.host:
        shown = shown.set(host=masked_place(shown.host))
    return f"psql {shlex.quote(masked(shown.render_as_string()))}"


def _one_line(text: str) -> str:
    return " ".join(masked_sql(text).split())[:300]
