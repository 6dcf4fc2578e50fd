"""``pgsandbox init``: from a project as it stands to a first green test.

It looks, shows what it would write with the reason for each line, writes after a yes, and runs the
one test. It changes no line that is there.

* ``proposals``: a file that would be written, with the reason for each line;
* ``interpreter``: a Python module run as a program;
* ``importing``: the one step that imports the project, in a process of its own;
* ``imported_objects``: what that process finds: tables, engines, mapped classes;
* ``importing_process``: it itself, which refuses every connection;
* ``places``: the project's root and files;
* ``pytest_settings``: the settings of pytest itself;
* ``pytest_env``: the environment variables that pytest-env gives the tests;
* ``fixture_names``: fixtures that are named like ours;
* ``models``: what maps tables, read as text;
* ``migrations``: Alembic environments;
* ``applications``: Flask or FastAPI, and where they are configured;
* ``looking``: all of that together;
* ``first_test``: the test that is proposed;
* ``reaching``: how the application comes to the test database;
* ``deciding``: from what was found to what is proposed;
* ``writing``: the files written, and the test run.

It reads by ``pgsandbox.lint.source`` and imports nothing of the project but in ``importing``. A
framework that it should know belongs into ``applications``, a line that it should write into
``deciding``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from pgsandbox.cli.init.deciding import decide
from pgsandbox.cli.init.looking import Looked, look
from pgsandbox.cli.init.proposals import Plan, Proposal
from pgsandbox.cli.init.writing import Ran, take_back, write
from pgsandbox.cli.init.writing import run as run_test

_MOST_FINDINGS = 20


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--yes", action="store_true", help="write without asking")
    parser.add_argument("--dry-run", action="store_true", help="show everything, write nothing")
    parser.add_argument("--json", action="store_true", help="print an object for programs")
    parser.add_argument(
        "--schema",
        choices=("auto", "metadata", "migrations"),
        default="auto",
        help="what the tables are made from; auto takes the migrations where they run",
    )
    parser.add_argument(
        "--root", type=Path, default=Path(), help="the project's directory (default: here)"
    )


def run(options: argparse.Namespace) -> int:
    """Look, show, ask, write, and run the first test."""
    looked = look(options.root.resolve())
    plan = decide(looked, with_migrations=options.schema != "metadata")
    if not options.json:
        _say(_found(looked))
        _say(_planned(looked, plan))
    is_wanted = bool(plan.proposals) and not options.dry_run and not plan.obstacle
    if is_wanted and not options.yes:
        is_wanted = not options.json and _asked()
    ran = None
    written: list[str] = []
    if is_wanted:
        ran, plan = _written_and_run(looked, plan, options.schema == "auto")
        written = [looked.shown(each.path) for each in plan.proposals]
    if options.json:
        _say(json.dumps(_as_dict(looked, plan, written, ran), indent=2))
    elif ran is not None:
        _say(_outcome(looked, plan, ran))
    return 1 if plan.obstacle or (ran is not None and not ran.is_green) else 0


def _written_and_run(looked: Looked, plan: Plan, may_change: bool) -> tuple[Ran, Plan]:
    assert plan.test is not None
    before = write(plan.proposals)
    ran = run_test(looked.root, plan.test)
    is_of_migrations = any("schema = " in each.text for each in plan.proposals)
    if ran.is_green or not may_change or not is_of_migrations:
        return ran, plan
    # What was written a moment ago is ours to take back: the migrations do not run as they are.
    take_back(before)
    other = decide(looked, with_migrations=False)
    again = write(other.proposals)
    second = run_test(looked.root, plan.test)
    if second.is_green:
        note = f"With the migrations it was not green: {_reason(ran.output)}"
        return second, replace(other, notes=[*other.notes, note])
    take_back(again)
    write(plan.proposals)
    return ran, plan


def _reason(output: str) -> str:
    """Return the line of pytest's that says most."""
    said = re.search(r"^(?:E +|ERROR[: ]+)?((?:\w+\.)*[A-Z]\w+: \S.*)$", output, re.MULTILINE)
    facts = (("server said", "The server said"), ("error", "The error"), ("raised at", "Raised at"))
    parts = [said[1]] if said else []
    for name, words in facts:
        found = re.search(rf"^ +{name} {{2,}}(\S.*)$", output, re.MULTILINE)
        parts += [f"{words}: {found[1]}"] if found else []
    return " ".join(parts) or "its output has the reason."


def _asked() -> bool:
    if not sys.stdin.isatty():
        _say("Nothing was written: there is nobody to ask. Give --yes.")
        return False
    sys.stdout.write("Write these files? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _found(looked: Looked) -> str:
    rows = [("project", str(looked.root))]
    inside = looked.shown(looked.start)
    rows.append(("imports start", "there" if inside == "." else f"from {inside}/"))
    if looked.owner is not None:
        where = (
            f", {looked.shown(looked.owner.path)}:{looked.owner.line}" if looked.owner.path else ""
        )
        rows.append(
            ("models", f"in {_counted(len(looked.models), 'module')}; {looked.owner.kind}{where}")
        )
    for app in [looked.application] if looked.application else []:
        kind = "factory" if app.is_factory else "application"
        rows.append((app.framework, f"{kind} {app.reference}, {looked.shown(app.path)}:{app.line}"))
    rows += [
        ("engine", f"{each['reference']}, made at import, to {each['url']}")
        for each in looked.imported.engines
    ]
    rows += [
        ("migrations", f"{each.setting}, {_counted(each.revisions, 'revision')}")
        for each in looked.environments
    ]
    rows += [
        ("variable", f"{each.name}, {looked.shown(each.path)}:{each.line}")
        for each in looked.variables
    ]
    rows += [
        ("pytest-env", f"{each.masked}, {looked.place_of(each)}")
        for each in looked.given
        if each.is_database
    ]
    rows.append(("drivers", ", ".join(looked.drivers)))
    modules, conftests = looked.suite.modules, len(looked.suite.conftests)
    rows.append(("tests", f"{_counted(modules, 'module')}, {_counted(conftests, 'conftest')}"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(["Found", *(f"  {name:<{width}}  {value}" for name, value in rows), ""])


def _planned(looked: Looked, plan: Plan) -> str:
    lines: list[str] = []
    for each in plan.proposals:
        lines += [*_shown(looked, each), ""]
    if plan.there:
        lines += ["There already, and left as it is", *(f"  {each}" for each in plan.there), ""]
    for title, findings in (
        ("Superfluous from now on", looked.suite.superfluous),
        ("Will collide", looked.suite.colliding),
    ):
        if findings:
            lines.append(f"{title} ({len(findings)})")
            lines += [
                f"  {each.place}: {each.code} {each.message}"
                for each in (findings[:_MOST_FINDINGS])
            ]
            if len(findings) > _MOST_FINDINGS:
                lines.append("  and more: pgsandbox lint PATH has all")
            lines.append("")
    if plan.notes:
        lines += ["To know", *(f"  {each}" for each in plan.notes), ""]
    if not plan.proposals and not plan.obstacle:
        lines += ["Nothing is missing.", ""]
    if plan.obstacle:
        lines += ["In the way", f"  {plan.obstacle}", ""]
    return "\n".join(lines)


def _shown(looked: Looked, proposal: Proposal) -> list[str]:
    how = "added to" if proposal.is_addition else "new file"
    lines = [f"{looked.shown(proposal.path)}: {proposal.purpose} ({how})"]
    width = max((len(line.text) for line in proposal.lines if line.why), default=0)
    for line in proposal.lines:
        why = f"  <- {line.why}" if line.why else ""
        text = f"{line.text:<{min(width, 60)}}" if why else line.text
        lines.append(f"  | {text}{why}".rstrip())
    return lines


def _outcome(looked: Looked, plan: Plan, ran: Ran) -> str:
    test = looked.shown(plan.test)
    if ran.is_green:
        notes = "".join(f"\n  {note}" for note in plan.notes if note.startswith("With the"))
        return f"Written. {test} is green, in {ran.seconds:.1f} seconds.{notes}"
    return f"{ran.output}\nWritten, and {test} is not green: the output above says why."


def _as_dict(looked: Looked, plan: Plan, written: list[str], ran: Ran | None) -> dict[str, Any]:
    app = looked.application
    return {
        "root": str(looked.root),
        "start": looked.shown(looked.start),
        "metadata": list(looked.metadata),
        "application": app.reference if app else None,
        "engines": [dict(each) for each in looked.imported.engines],
        "migrations": [each.setting for each in looked.environments],
        "drivers": list(looked.drivers),
        "plugins": list(looked.plugins),
        "given": [f"{looked.place_of(each)}: {each.masked}" for each in looked.given],
        "files": [
            {
                "path": looked.shown(each.path),
                "is_addition": each.is_addition,
                "lines": [{"text": line.text, "why": line.why} for line in each.lines],
            }
            for each in plan.proposals
        ],
        "there": list(plan.there),
        "superfluous": [f"{each.place}: {each.code}" for each in looked.suite.superfluous],
        "colliding": [f"{each.place}: {each.code}" for each in looked.suite.colliding],
        "notes": list(plan.notes),
        "obstacle": plan.obstacle,
        "written": written,
        "green": None if ran is None else ran.is_green,
        "seconds": None if ran is None else round(ran.seconds, 1),
    }


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
