"""What the ledger of savepoints is made of: commands for the server, frames, connections."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Run:
    """SQL to run; an error of the server is thrown into the generator."""

    sql: str


@dataclass(frozen=True)
class Ask:
    """SQL whose single integer is sent into the generator."""

    sql: str


Command = Run | Ask
Steps = Generator[Command, int | None, None]


@dataclass(frozen=True)
class Executed:
    """One statement that the code under test sent."""

    text: str
    connection: str
    """The label of the connection that sent it."""


@dataclass(eq=False)
class Frame:
    """One savepoint on the server."""

    name: str
    """Its name on the server, used by nobody else."""
    owner: LogicalConnection | None
    """Whose it is; None once its owner has committed."""
    savepoint: str | None = None
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


@dataclass(eq=False)
class LogicalConnection:
    """What one connection that the application holds has going on."""

    label: str
    """How a message names it."""
    is_arranging: bool = False
    """Whether it belongs to the test's own session."""
    autocommit: bool = False
    is_read_only: bool = False
    """Whether it was asked to refuse writes."""
    reads_only: bool = False
    """Whether its present transaction was asked to refuse writes."""
    in_transaction: bool = False
    is_explicit: bool = False
    """Whether its transaction was begun by a BEGIN of the application's own."""
    has_failed: bool = False
    """Whether a statement failed, so that only a rollback is possible."""
    skips_constraints: bool = False
    """Whether somebody else's rows break a deferred constraint, so that its own can't tell."""
    frames: list[Frame] = field(default_factory=list)
    first_write: str | None = None
    transactions: int = 0
    """How many transactions it has ended."""
    thread: threading.Thread | None = None
    """Who used it last."""
    is_cut: bool = False
    """Whether its transaction ended with its test while another thread was at work in it."""

    def is_used_elsewhere(self) -> bool:
        """Whether a thread other than this one still uses it."""
        if self.thread is None or self.thread is threading.current_thread():
            return False
        return self.thread.is_alive()

    def set_mode(self, text: str) -> None:
        """Remember what a BEGIN or SET TRANSACTION asks for, inside of a transaction from here."""
        words = text.upper().replace(";", " ").split()
        if "ONLY" in words or "WRITE" in words:
            if "CHARACTERISTICS" in words:
                self.is_read_only = "ONLY" in words
            else:
                self.reads_only = "ONLY" in words
        self.in_transaction = self.in_transaction or not self.autocommit

    def standing(self) -> LogicalConnection:
        """Return a copy of where it stands, with a mark for each savepoint of the application's."""
        copy = LogicalConnection(self.label, self.is_arranging)
        copy.take_over(self)
        return copy

    def take_over(self, other: LogicalConnection) -> None:
        """Stand where *other* does, without anything to undo."""
        self.autocommit, self.is_read_only = other.autocommit, other.is_read_only
        self.in_transaction, self.is_explicit = other.in_transaction, other.is_explicit
        self.has_failed, self.reads_only = other.has_failed, other.reads_only
        names = [frame.savepoint for frame in other.frames if frame.savepoint is not None]
        self.frames = [Frame("", self, savepoint=name, is_open=False) for name in names]

    def ended(self) -> None:
        """Stand outside of a transaction."""
        self.in_transaction = self.is_explicit = self.reads_only = self.has_failed = False
        self.frames.clear()

    @property
    def is_idle(self) -> bool:
        """Whether it is in autocommit mode, outside of a transaction."""
        return self.autocommit and not self.in_transaction

    def savepoints(self) -> int:
        """Return how many savepoints the application has set."""
        return sum(frame.savepoint is not None for frame in self.frames)

    def describe(self) -> str:
        """Return its label with the first statement by which its transaction wrote."""
        if self.first_write is None:
            return self.label
        text = " ".join(self.first_write.split())
        return f"{self.label}: {text[:100]}{'...' if len(text) > 100 else ''}"
