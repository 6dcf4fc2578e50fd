"""What the bookkeeping of savepoints is made of: commands for the server, savepoints, sessions."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True)
class Run:
    """SQL to run; an error of the server is thrown into the generator."""

    sql: str
    may_fail: bool = False
    """Whether its outcome has to be known at once; anything else can wait for the next write."""


@dataclass(frozen=True)
class Ask:
    """SQL whose single integer is sent into the generator."""

    sql: str


Command = Run | Ask
Steps = Generator[Command, int | None, None]


@dataclass(slots=True, eq=False)
class Executed:
    """One statement that the code under test sent, and what the server made of it."""

    text: str
    connection: str
    """The label of the connection that sent it."""
    at: float = 0.0
    """When it came, by the clock that all processes of the machine share."""
    session: ClientSession | None = None
    transaction: int = 0
    """The number of its session's transaction."""
    tag: bytes = b""
    """What the server said when it was done (PostgreSQL manual, 53.7, CommandComplete)."""
    error: bytes = b""
    """The body of the ErrorResponse, if the server refused it."""
    is_undone: bool = False
    """Whether its session went back to a savepoint that was set before it."""


@dataclass(frozen=True)
class Late:
    """Somebody who went on after a test that was over."""

    who: str
    """A connection's label, or where a thread is."""
    test: str
    """The test, which is over."""
    running: str
    """The test that ran when it went on, or what a message says of that moment."""
    was_refused: bool = True
    """Whether it was refused."""


@dataclass(eq=False)
class Savepoint:
    """One savepoint on the server."""

    name: str
    """Its name on the server, used by nobody else."""
    owner: ClientSession | None
    """Whose it is; None once its owner has committed."""
    given_name: str | None = None
    """The name that the application gave it, for a savepoint of the application's own."""
    is_open: bool = True
    """False for an application's savepoint that the server no longer has: made again at need."""
    wrote: bool = False
    """Whether its owner wrote since it was set."""
    locked_rows: bool = False
    """Whether it took row locks, which assign a transaction id as writes do."""
    unclear: bool = False
    """Whether it saw plain reads only: the server has to say if a function of them wrote."""
    buried: str | None = None
    """Who committed writes that the server has merged into it, if anybody did."""

    is_doomed: bool = False
    """Whether its owner rolled back while somebody else's open writes stood above it."""

    @property
    def is_dirty(self) -> bool:
        """Whether going back to it would undo anything."""
        return self.wrote or self.buried is not None


class Modes(NamedTuple):
    """What a client's transaction is to be, and the server's is not."""

    reads_only: bool = False
    """Whether it refuses writes."""
    is_deferrable: bool = False
    """Whether it is DEFERRABLE."""
    level: str = ""
    """The isolation level that it asked for, unless it is READ COMMITTED."""
    asked: str = ""
    """The statement that asked for a snapshot which it can't have."""


DEFAULT_MODES = Modes()


@dataclass(eq=False)
class ClientSession:
    """Where the transaction of one client stands."""

    label: str
    """How a message names it."""
    is_arranging: bool = False
    """Whether it belongs to the test's own session."""
    modes: Modes = DEFAULT_MODES
    """Those of its present transaction."""
    has_queried: bool = False
    """Whether its present transaction has taken a snapshot, after which modes are fixed."""
    in_transaction: bool = False
    """Whether anything of it is neither committed nor rolled back."""
    is_explicit: bool = False
    """Whether it is in a transaction block, begun by BEGIN."""
    has_failed: bool = False
    """Whether a statement failed, so that only a rollback is possible."""
    skips_constraints: bool = False
    """Whether somebody else's rows break a deferred constraint, so that its own can't tell."""
    constraint_modes: list[tuple[int, str]] = field(default_factory=list)
    """Each SET CONSTRAINTS of its transaction, with how many savepoints it had set then."""
    savepoints: list[Savepoint] = field(default_factory=list)
    first_write: str | None = None
    token: str = ""
    """What the test process calls its connection; empty if it knows nothing of it."""
    ends: list[bool] = field(default_factory=list)
    """Of each of its transactions that has ended whether it was committed."""
    unanswered: list[Executed] = field(default_factory=list)
    """What was sent to the server and has no answer yet."""
    marks: list[tuple[str | None, int]] = field(default_factory=list)
    """The application's savepoints, each with how many statements the test had sent before."""
    began: str = ""
    """When its present transaction began, where the database's clock moves."""
    on_end: Callable[[bool], None] | None = None
    """Called when its transaction has ended, with whether it was committed."""

    def standing(self) -> ClientSession:
        """Return a copy of where it stands, with a mark for each savepoint of the application's."""
        copy = ClientSession(self.label, self.is_arranging)
        copy.take_over(self)
        return copy

    def take_over(self, other: ClientSession) -> None:
        """Stand where *other* does, without anything to undo."""
        self.modes = other.modes
        self.in_transaction, self.is_explicit = other.in_transaction, other.is_explicit
        self.has_failed = other.has_failed
        names = [each.given_name for each in other.savepoints if each.given_name is not None]
        self.savepoints = [Savepoint("", self, given_name=name, is_open=False) for name in names]

    def ended(self) -> None:
        """Stand outside of a transaction."""
        self.in_transaction = self.is_explicit = self.has_failed = False
        self.modes = DEFAULT_MODES
        self.constraint_modes.clear()
        self.savepoints.clear()

    def depth(self) -> int:
        """Return how many savepoints the application has set."""
        return sum(each.given_name is not None for each in self.savepoints)

    def describe(self) -> str:
        """Return its label with the first statement by which its transaction wrote."""
        if self.first_write is None:
            return self.label
        text = " ".join(self.first_write.split())
        return f"{self.label}: {text[:100]}{'...' if len(text) > 100 else ''}"
