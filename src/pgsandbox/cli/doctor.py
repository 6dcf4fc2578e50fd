"""``pgsandbox doctor``: one screen about the server that runs of this project use.

What it says about time it measures here and now, in a database that it creates, marks and drops.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from psycopg2.extensions import connection as Connection

from pgsandbox import config, databases
from pgsandbox.cli import FINDINGS, FINE
from pgsandbox.cli.advice import DURABILITY, Advice, Costs, Situation, advise
from pgsandbox.cli.project import root_argument, settings_of
from pgsandbox.config import Settings
from pgsandbox.databases.capacity import POOL_OF_A_CLONE, most_processes
from pgsandbox.guard import masked
from pgsandbox.reports import columns
from pgsandbox.servers import Server
from pgsandbox.wiring import Project, choose_server

_COPIES = 3
_STATEMENTS = 50
_SHOWN = (*DURABILITY, "wal_level", "shared_buffers", "max_connections", "autovacuum", "jit")
_RIGHTS = """
    select session_user::text, rolsuper, rolcreatedb or rolsuper,
           pg_has_role(session_user, 'pg_signal_backend', 'usage')
      from pg_catalog.pg_roles where rolname = session_user
"""


@dataclass(frozen=True)
class Diagnosis:
    """Everything that the screen shows."""

    settings: tuple[tuple[str, str, str], ...]
    """Key, value and source of every setting of the project."""
    server: tuple[tuple[str, str], ...]
    """What the server is, and why it was chosen."""
    situation: Situation
    """What the advice is made from."""
    rights: tuple[tuple[str, bool], ...]
    """What the role may do."""
    connections: databases.Capacity
    """The connections of the server."""
    templates: tuple[tuple[str, str], ...]
    """Name and age of each template."""
    left_overs: tuple[tuple[str, str, str], ...]
    """Name, state and project of every other database of pgsandbox."""
    advice: tuple[Advice, ...]
    """What to change, what gains most first."""

    @property
    def exit_code(self) -> int:
        """0, or 1 where runs fail until something is changed."""
        return FINDINGS if any(each.is_problem for each in self.advice) else FINE

    def json(self) -> str:
        """Return it for a program."""
        said = asdict(self)
        said["connections"]["free"] = self.connections.free
        return json.dumps(said, indent=2)

    def text(self) -> str:
        """Return it for a terminal."""
        parts = [
            _section("settings", [(k, v, f"({source})") for k, v, source in self.settings]),
            _section("server", self.server),
            _section("durability", self._durability()),
            _section("role", [(right, "yes" if may else "no") for right, may in self.rights]),
            _section("connections", self._connections()),
            _section("templates", self.templates),
            _section("databases", self.left_overs),
            _section("advice", self._advice()),
        ]
        return "\n\n".join(part for part in parts if part)

    def _durability(self) -> Iterable[tuple[str, ...]]:
        yield from ((name, self.situation.settings[name]) for name in _SHOWN)
        costs = self.situation.costs
        if costs is None:
            return
        yield "a round trip", f"{costs.round_trip:.2f} ms"
        yield (
            "a commit",
            f"{costs.commit:.2f} ms",
            f"{costs.commit_without_waiting:.2f} ms without waiting for the disk",
        )
        yield "an empty database", f"{costs.create:.0f} ms"
        yield "a copy of it", f"{costs.copy:.0f} ms", f"and {costs.drop:.0f} ms to drop it"

    def _connections(self) -> Iterable[tuple[str, ...]]:
        seen = self.connections
        yield "max_connections", str(seen.most)
        yield "reserved", str(seen.reserved)
        yield "in use", str(seen.in_use)
        if seen.most_of_role is not None:
            yield "role's own limit", str(seen.most_of_role), f"{seen.in_use_by_role} in use"
        yield "free", str(seen.free), f"enough for {self.situation.most_processes} workers (-n)"
        yield (
            "a clone's test",
            f"up to {POOL_OF_A_CLONE}",
            "for each engine with SQLAlchemy's default pool (pool_size 5, max_overflow 10)",
        )

    def _advice(self) -> Iterable[tuple[str, ...]]:
        for number, each in enumerate(self.advice, start=1):
            yield f"{number}.", f"{each.what}:"
            yield "", f"{each.why}."
        if not self.advice:
            yield "", "nothing to change"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--json", action="store_true", help="print an object for programs")
    root_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Show the screen; 1 if runs fail as things are, 2 if there is no server."""
    settings = settings_of(options.root)
    server = choose_server(settings, Project(settings).application_url)
    try:
        found = diagnose(settings, server)
    finally:
        server.release()
    sys.stdout.write(f"{found.json() if options.json else found.text()}\n")
    return found.exit_code


def diagnose(settings: Settings, server: Server) -> Diagnosis:
    """Look at *server* as runs with *settings* find it, and measure it."""
    owned = databases.leftovers(server)
    tests = [each for each in owned if not _is_template(each)]
    with databases.administration(server) as connection:
        capacity = databases.capacity_of(connection)
        with connection.cursor() as cursor:
            cursor.execute(_RIGHTS)
            role, is_superuser, may_create, may_signal = cursor.fetchone() or ("", False, False, 0)
            cursor.execute(
                "select name, pg_catalog.current_setting(name) from pg_catalog.pg_settings"
                " where name = any(%s)",
                (list(_SHOWN),),
            )
            found = dict(cursor.fetchall())
    situation = Situation(
        kind=server.kind,
        version=server.version,
        role=role,
        may_create=may_create,
        is_superuser=is_superuser,
        settings=found,
        costs=measure(server, str(settings.root)) if may_create else None,
        free=capacity.free,
        most_processes=most_processes(capacity.free, 1 + len(settings.binds)),
        processors=os.cpu_count() or 1,
        left_over=sum(not each.is_leased and not each.is_kept for each in tests if _is_test(each)),
        kept=sum(each.is_kept for each in tests),
    )
    return Diagnosis(
        settings=tuple(config.rows(settings)),
        server=tuple(_described(server, role)),
        situation=situation,
        rights=(
            ("superuser", is_superuser),
            ("create databases", may_create),
            ("end sessions of other roles", bool(may_signal)),
        ),
        connections=capacity,
        templates=tuple((each.name, _age(each)) for each in owned if _is_template(each)),
        left_overs=tuple(
            (each.name, _state(each), each.mark.owner if each.mark else "") for each in tests
        ),
        advice=tuple(advise(situation)),
    )


def measure(server: Server, owner: str) -> Costs:
    """Measure *server* in databases that are made for it and dropped again."""
    with databases.administration(server) as connection:
        began = time.perf_counter()
        first = databases.claim(server, "pgsandbox_doctor", owner=owner)
        create = (time.perf_counter() - began) * 1000
        try:
            with closing(server.connect(first.name)) as inside:
                inside.cursor().execute("create table figures (n int)")
                commit = _median(lambda: _commit(inside))
                inside.cursor().execute("set synchronous_commit = off")
                without = _median(lambda: _commit(inside))
            copies, drops = [], []
            for _ in range(_COPIES):
                began = time.perf_counter()
                copy = databases.claim(
                    server, "pgsandbox_doctor_copy", owner=owner, template=first.name
                )
                copies.append((time.perf_counter() - began) * 1000)
                began = time.perf_counter()
                copy.drop()
                drops.append((time.perf_counter() - began) * 1000)
        finally:
            first.drop()
        trip = _median(lambda: connection.cursor().execute("select 1"))
    return Costs(trip, commit, without, create, statistics.median(copies), statistics.median(drops))


def _commit(connection: Connection) -> None:
    connection.cursor().execute("insert into figures values (1)")


def _median(do: Callable[[], object]) -> float:
    taken = []
    for _ in range(_STATEMENTS):
        began = time.perf_counter()
        do()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def _described(server: Server, role: str) -> Iterable[tuple[str, str]]:
    yield "version", f"PostgreSQL {server.version_text}"
    yield "kind", server.kind
    yield "chosen", server.reason
    yield "at", masked(server.url.render_as_string())
    yield "role", role


def _is_template(found: databases.Leftover) -> bool:
    return found.mark is not None and found.mark.purpose == databases.TEMPLATE


def _is_test(found: databases.Leftover) -> bool:
    return found.mark is None or found.mark.purpose == databases.PURPOSE


def _state(found: databases.Leftover) -> str:
    if found.is_leased:
        return "held by a live run"
    if found.is_kept:
        return f"kept, {_age(found)} old"
    if not _is_test(found):
        return found.mark.purpose if found.mark else ""
    return "left by a killed run"


def _age(found: databases.Leftover) -> str:
    """How old a database is, as its mark says, in the unit that people would use."""
    try:
        made = datetime.fromisoformat(found.mark.created if found.mark else "")
        seconds = (datetime.now(UTC) - made).total_seconds()
    except (ValueError, TypeError):
        return "unknown age"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _section(title: str, rows: Iterable[Sequence[str]]) -> str:
    """The *rows* below *title*, in columns; nothing if there are none."""
    listed = list(rows)
    return "\n".join([title, *(f"  {line}" for line in columns(listed))]) if listed else ""
