"""``pgsandbox reap``: drop what killed runs left, and say what stays and why.

The start of every run does the same, without a word. This is for a machine on which no run starts
any more, and for databases that ``--pg-keep`` kept: only this command drops those.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from pgsandbox import databases
from pgsandbox.cli import FINDINGS, FINE
from pgsandbox.cli.project import root_argument, settings_of
from pgsandbox.databases.limits import DEFAULT_LIMITS as LIMITS
from pgsandbox.errors import ConfigurationError, DatabaseError, Fact
from pgsandbox.reports import columns
from pgsandbox.servers import Server
from pgsandbox.wiring import Project, find_running


@dataclass(frozen=True)
class Line:
    """One database of pgsandbox, and what became of it."""

    name: str
    """Its name."""
    became: str
    """``dropped``, ``left``, or ``failed`` where it should have gone and did not."""
    why: str
    """The reason, in one clause."""
    project: str = ""
    """Whose run made it: the directory in its mark."""
    created: str = ""
    """When, from its mark."""


@dataclass(frozen=True)
class Reaped:
    """What one ``reap`` did."""

    server: str
    """The server, in one line."""
    lines: tuple[Line, ...] = ()
    """Every database of pgsandbox that was there, by name."""
    problems: tuple[str, ...] = field(default=())
    """What could not be dropped and why, each a whole message."""

    @property
    def exit_code(self) -> int:
        """0, or 1 where something that a dead run left is still there."""
        return FINDINGS if any(line.became == "failed" for line in self.lines) else FINE

    def text(self) -> str:
        """Return it for a terminal."""
        dropped = sum(line.became == "dropped" for line in self.lines)
        rows = [[each.became, each.name, each.why, each.project] for each in self.lines]
        summary = f"{dropped} dropped, {len(self.lines) - dropped} left"
        return "\n".join([self.server, *columns(rows), *self.problems, summary])

    def json(self) -> str:
        """Return it for a program."""
        return json.dumps(asdict(self), indent=2)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument(
        "--kept",
        nargs="*",
        metavar="NAME",
        help="also those that --pg-keep kept: all, or those of these names",
    )
    parser.add_argument("--json", action="store_true", help="print an object for programs")
    root_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Reap on the project's server; 1 if something resists, 2 if there is no server to ask."""
    settings = settings_of(options.root)
    server = find_running(settings, Project(settings).application_url)
    if server is None:
        reaped = Reaped("no embedded server is running, so nothing is left of any run")
    else:
        try:
            reaped = reap(server, kept=options.kept)
        finally:
            server.release()
    sys.stdout.write(f"{reaped.json() if options.json else reaped.text()}\n")
    return reaped.exit_code


def reap(server: Server, *, kept: Sequence[str] | None) -> Reaped:
    """Drop what dead runs left on *server*, and what people *kept*: of these names, or all if none.

    Raises:
        ConfigurationError: no kept database bears one of the names, and nothing was dropped.
    """
    errors: list[DatabaseError] = []
    before = databases.leftovers(server)
    _require_kept(before, kept or ())
    dropped = databases.reap(
        server,
        include_kept=kept is not None and not kept,
        kept=kept or (),
        on_error=errors.append,
        limits=LIMITS,
    )
    after = {each.name: each for each in databases.leftovers(server)}
    lines = [_line(after.get(each.name, each), each.name in dropped, errors) for each in before]
    where = "embedded" if server.kind == "embedded" else server.reason
    return Reaped(
        f"PostgreSQL {server.version_text}, {where}",
        tuple(lines),
        tuple(f"{type(error).__name__}: {error}" for error in errors),
    )


def _require_kept(found: Sequence[databases.Leftover], names: Sequence[str]) -> None:
    known = [each.name for each in found if each.is_kept]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigurationError(
            f"No kept database is called {' or '.join(unknown)}; nothing was dropped.",
            facts=[Fact("kept", ", ".join(known) or "none")],
            remedy="Name one of those, or none to drop them all.",
        )


def _line(found: databases.Leftover, is_dropped: bool, errors: Sequence[DatabaseError]) -> Line:
    became, why = ("dropped", _origin(found)) if is_dropped else _why_left(found, errors)
    mark = found.mark
    return Line(
        found.name, became, why, mark.owner if mark else "", created=mark.created if mark else ""
    )


def _origin(found: databases.Leftover) -> str:
    if found.is_kept:
        return "kept by an earlier run"
    return "left unfinished by a killed run" if found.is_unfinished else "left by a killed run"


def _why_left(found: databases.Leftover, errors: Sequence[DatabaseError]) -> tuple[str, str]:
    """Whether a database that is still there should have gone, and why it has not."""
    if any(f'"{found.name}"' in error.headline for error in errors):
        return "failed", "could not be dropped, see below"
    purpose = found.mark.purpose if found.mark else databases.PURPOSE
    reasons = {
        "held by a live run": found.is_leased,
        "kept; `pgsandbox reap --kept` drops it": found.is_kept,
        f"only its owner {found.role} may drop it": not found.may_drop,
        "a template that a live run uses": purpose == databases.TEMPLATE,
        f"for another purpose: {purpose}": purpose != databases.PURPOSE,
        "its run has just ended": True,
    }
    return "left", next(reason for reason, holds in reasons.items() if holds)
