"""PostgreSQL's stack of savepoints in memory, and the ledger playing scripts on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pgsandbox.errors import TransactionsInterleaved
from pgsandbox.sandbox.endpoint.constraints import Constraints
from pgsandbox.sandbox.endpoint.savepoints import SavepointStack
from pgsandbox.sandbox.endpoint.sessions import Ask, ClientSession, Steps
from pgsandbox.sandbox.endpoint.statements import Kind, Statement, classify
from tests.kit.transactions import STATEMENTS, WRITES, Row, Step, productions, script

_TEXTS = {
    "insert": "INSERT INTO rows VALUES (1)",
    "break": "INSERT INTO rows VALUES (2)",
    "fail": "INSERT INTO rows VALUES (1 / 0)",
    "read": "SELECT number FROM rows",
    "call": "SELECT add_row(1)",
    "lock": "SELECT number FROM rows FOR UPDATE",
}


class ConstraintError(Exception):
    """What the server raises for a broken constraint."""


@dataclass
class _Level:
    """The transaction itself, or one savepoint (PostgreSQL manual, 74.3)."""

    name: str
    before: frozenset[Row]
    has_id: bool = False


@dataclass
class Server:
    """One transaction of a server, in which the test's savepoint is set."""

    rows: frozenset[Row] = frozenset()
    levels: list[_Level] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.levels.append(_Level("", self.rows))
        self.levels.append(_Level("pgsandbox", self.rows))

    def drive(self, steps: Steps) -> None:
        """Run what the ledger asks for, and throw the server's errors into it."""
        try:
            command = next(steps)
            while True:
                try:
                    reply = self._ids() if isinstance(command, Ask) else self._run(command.sql)
                except ConstraintError as error:
                    command = steps.throw(error)
                else:
                    command = steps.send(reply)
        except StopIteration:
            return

    def write(self, row: Row | None) -> None:
        """Write *row*, or take a lock: both assign an id to each level that has none."""
        self.rows |= {row} if row else frozenset()
        for level in self.levels:
            level.has_id = True

    def _ids(self) -> int:
        return sum(level.has_id for level in self.levels)

    def _run(self, sql: str) -> None:
        self.log.append(sql)
        for part in sql.split("; "):
            match part.split():
                case ["SAVEPOINT", name]:
                    self.levels.append(_Level(name, self.rows))
                case ["RELEASE", _, name]:
                    place = self._place_of(name)
                    self.levels[place - 1].has_id |= any(x.has_id for x in self.levels[place:])
                    del self.levels[place:]
                case ["ROLLBACK", _, _, name]:
                    place = self._place_of(name)
                    self.rows, self.levels[place].has_id = self.levels[place].before, False
                    del self.levels[place + 1 :]
                case ["SET", "CONSTRAINTS", "ALL", "IMMEDIATE"]:
                    if any(row.is_broken for row in self.rows):
                        raise ConstraintError
                case words:
                    assert words[:2] == ["SET", "CONSTRAINTS"], part

    def _place_of(self, name: str) -> int:
        return max(place for place, level in enumerate(self.levels) if level.name == name)


class Ledger:
    """Logical connections on one server, by the rules of the ledger."""

    def __init__(
        self,
        connections: int = 3,
        *,
        arranging: int | None = None,
        deferred: bool = False,
        autocommit: int | None = None,
    ) -> None:
        self.autocommit = autocommit
        self.server = Server()
        names = (("public.c",), ("public.d",)) if deferred else ((), ())
        self.stack = SavepointStack(Constraints(deferred, *names))
        self.connections = [
            ClientSession(f"connection {place}", is_arranging=place == arranging)
            for place in range(connections)
        ]

    def do(self, step: Step) -> bool:
        """Let a connection take *step*, and return whether the server raised an error for it."""
        connection = self.connections[step.connection]
        try:
            if step.verb in STATEMENTS:
                return self._statement(connection, step)
            self.server.drive(self._control(connection, step))
        except ConstraintError:
            return True
        return False

    def rows_of(self, place: int) -> frozenset[Row]:
        """Return the rows of a connection that anybody sees."""
        return frozenset(row for row in self.server.rows if row.connection == place)

    def _statement(self, connection: ClientSession, step: Step) -> bool:
        statement = classify(_TEXTS[step.verb])
        is_autocommit = step.connection == self.autocommit
        self.server.drive(self.stack.begin_statement(connection, statement))
        if step.verb == "fail":
            self.server.write(Row(step.connection, -step.number))
            self.server.drive(self.stack.statement_failed(connection))
            if is_autocommit:
                self.server.drive(self.stack.rollback(connection))
            return True
        if step.verb in WRITES:
            self.server.write(Row(step.connection, step.number, step.verb == "break"))
        elif step.verb == "lock":
            self.server.write(None)
        self.stack.statement_succeeded(connection, statement)
        if is_autocommit:
            self.server.drive(self.stack.commit(connection))
        return False

    def _control(self, connection: ClientSession, step: Step) -> Steps:
        match step.verb:
            case "commit":
                return self.stack.commit(connection)
            case "rollback":
                return self.stack.rollback(connection)
            case "savepoint":
                return self.stack.set_savepoint(
                    connection, Statement("", Kind.SAVEPOINT, step.name)
                )
            case "release":
                return self.stack.release(connection, Statement("", Kind.RELEASE, step.name))
            case _:
                return self.stack.rollback_to(
                    connection, Statement("", Kind.ROLLBACK_TO, step.name)
                )


@dataclass
class Played:
    """How a script went."""

    difference: str = ""
    """Where the ledger made something else of it than production; empty if nowhere."""
    is_interleaved: bool = False
    """Whether the ledger said that one connection can't express it, and the script ended there."""
    left: int = 0
    """Savepoints that are still on the stack after every connection has ended."""


def play(seed: int, *, steps: int, arranging: int | None = None, breaks: bool = False) -> Played:
    """Play the script of *seed* by the ledger and in production, and compare after each step.

    With every fourth seed the last connection is in autocommit mode.
    """
    autocommit = seed % 4 == 0
    ledger = Ledger(arranging=arranging, deferred=breaks, autocommit=2 if autocommit else None)
    worlds = productions(3, autocommit=autocommit)
    taken: list[str] = []
    for step in script(seed, steps=steps, breaks=breaks, autocommit=autocommit):
        taken.append(str(step))
        expected = worlds[step.connection].do(step)
        try:
            raised = ledger.do(step)
        except TransactionsInterleaved:
            return Played(is_interleaved=True)
        if ledger.stack.is_pending:  # nobody can look now: the next statement would be refused
            continue
        for place, world in enumerate(worlds):
            is_comparable = place != arranging and not world.has_failed
            if is_comparable and ledger.rows_of(place) != world.rows:
                return Played(f"rows of {place}, seed {seed}: {', '.join(taken)}")
        if step.connection != arranging and raised != expected:
            return Played(f"error, seed {seed}: {', '.join(taken)}")
    return Played(left=len(ledger.stack.savepoints))
