"""The savepoints of one physical transaction, shared by any number of logical connections.

Pure bookkeeping: nothing here talks to a server. Every operation is a generator that yields the SQL
to run and is told how it went, so that a synchronous and an asynchronous driver run the same rules.

The server keeps savepoints as a stack. Each logical connection that is in a transaction owns one or
more *frames* of it, from bottom to top: the one its transaction began with, one for each of its own
savepoints, and one for each time it went on after another connection had put a frame above. What
commit and rollback do follows from the stack alone:

* commit leaves the connection's frames behind without an owner, and releases them as soon as
  nothing of anybody else stands above;
* rollback returns to the lowest frame in which the connection wrote, and that is exact as long as
  nobody else's writes stand above it;
* where somebody else's do, one connection can't express the result: `TransactionsInterleaved`. It
  is raised at once if they are committed. If they are not, they may still be rolled back, too; it
  is raised when anybody goes on before that.

The test's own session is the exception, because it only arranges data: where its rollback would
undo what the application committed, its rows stay instead ("sealed"), so that it never stands in
the application's way.
"""

from __future__ import annotations

import itertools

from pgsandbox.errors import Fact, TransactionsInterleaved
from pgsandbox.sandbox.constraints import Constraints
from pgsandbox.sandbox.frames import Ask, Frame, LogicalConnection, Run, Steps
from pgsandbox.sandbox.outer import IDS
from pgsandbox.sandbox.statements import Kind, Statement


class SavepointStack:
    """The savepoints of one physical transaction, and the rules by which they stand and fall."""

    def __init__(self, constraints: Constraints, *, places_below: int = 2) -> None:
        self.frames: list[Frame] = []
        self.constraints = constraints
        self.notes: list[str] = []
        """What a person who reads a failure should know about the arranging session."""
        self._places_below = places_below
        """How many transactions and savepoints enclose the first frame."""
        self._numbers = itertools.count(1)
        self._is_broken_below = False
        """Whether rows that nobody will undo broke a deferred constraint when last looked at."""
        self._pending: TransactionsInterleaved | None = None
        """What the next statement gets to hear, unless the rest is rolled back before."""

    @property
    def is_pending(self) -> bool:
        """Whether the rows are not what production would have, but may still become so."""
        return self._pending is not None

    # -- statements ---------------------------------------------------------------------------

    def begin_statement(self, connection: LogicalConnection, statement: Statement) -> Steps:
        """Put *connection* on top of the stack, so that *statement* can fail without harm."""
        __tracebackhide__ = True
        if self._pending is not None:
            raise self._pending
        connection.in_transaction = True
        mine = connection.frames[-1] if connection.frames else None
        if mine is not None and mine in self.frames[-1:] and not mine.buried:
            yield from self._keep_apart(connection, mine, statement)
            return
        yield from self._clear_up(self._hard_to_tell_later())
        if not self._may_have_written(connection):
            yield from self._look_below(connection)
        for frame in _closed_at_end(connection.frames) or [Frame("", connection)]:
            yield from self._push(frame)

    def statement_succeeded(self, connection: LogicalConnection, statement: Statement) -> None:
        """Remember what *statement* leaves to undo."""
        frame = connection.frames[-1]
        if statement.kind is Kind.READ:
            frame.unclear = not frame.wrote
        elif statement.kind is Kind.LOCKING_READ:
            frame.locked_rows = True
        else:
            frame.wrote, frame.unclear = True, False
            if connection.first_write is None:
                connection.first_write = statement.text

    def statement_failed(self, connection: LogicalConnection) -> Steps:
        """Make the physical transaction usable again; *connection* can only roll back now."""
        frame = connection.frames[-1]
        yield Run(f"ROLLBACK TO SAVEPOINT {frame.name}")
        frame.wrote = frame.unclear = frame.locked_rows = False
        connection.has_failed = True

    # -- transactions -------------------------------------------------------------------------

    def commit(self, connection: LogicalConnection) -> Steps:
        """Let what *connection* did stand; check the deferred constraints as a COMMIT would.

        A transaction in which a statement failed is rolled back, as the server does.
        """
        __tracebackhide__ = True
        if connection.has_failed:
            yield from self.rollback(connection)
            return
        if self._pending is not None and self._is_above_doomed(connection):
            raise self._pending
        if len(self.frames) > len(connection.frames):
            yield from self._clear_up(connection.frames)
        if (
            self.constraints.are_deferrable
            and not connection.skips_constraints
            and self._may_have_written(connection)
        ):
            try:
                yield from self.check_constraints()
            except Exception:
                # With somebody else's writes above, nobody can tell whose rows are to blame.
                yield from self.rollback(connection, may_wait=False)
                raise
        who = connection.describe()
        frames, connection.frames = connection.frames, []
        dirty = [frame for frame in frames if frame.is_open and frame.is_dirty]
        for frame in frames:
            frame.owner = None
            if frame.wrote:
                frame.buried, frame.wrote = who, False
        if dirty:
            self._seal_below(self.frames.index(dirty[-1]), who)
        self._finish(connection)
        yield from self._release_ownerless()

    def rollback(self, connection: LogicalConnection, *, may_wait: bool = True) -> Steps:
        """Undo what *connection* did in its transaction, and nothing else.

        Raises:
            TransactionsInterleaved: somebody else's committed writes stand above what would be
                undone, or, unless *may_wait*, open ones.
        """
        __tracebackhide__ = True
        frames, connection.frames = connection.frames, []
        who = connection.describe()
        arranging = connection.is_arranging
        self._finish(connection)
        yield from self._undo(frames, connection, who, arranging, may_wait=may_wait)
        yield from self._settle()
        yield from self._release_ownerless()

    def check_constraints(self) -> Steps:
        """Check every deferred constraint now, and defer again those that are deferred initially.

        RELEASE SAVEPOINT checks none; ``SET CONSTRAINTS ALL DEFERRED`` would also defer those that
        are immediate initially, so the others are restored by name (PostgreSQL manual, SET
        CONSTRAINTS). A failed check leaves the transaction as it was.
        """
        deferred = ", ".join(self.constraints.initially_deferred)
        restore = f"; SET CONSTRAINTS {deferred} DEFERRED" if deferred else ""
        try:
            yield Run(
                f"SAVEPOINT pgsandbox_check; SET CONSTRAINTS ALL IMMEDIATE{restore}; "
                "RELEASE SAVEPOINT pgsandbox_check"
            )
        except Exception:
            yield Run("ROLLBACK TO SAVEPOINT pgsandbox_check; RELEASE SAVEPOINT pgsandbox_check")
            raise

    # -- savepoints of the application's own --------------------------------------------------

    def savepoint(self, connection: LogicalConnection, statement: Statement) -> Steps:
        """Set the application's savepoint under a name that collides with nobody's."""
        yield from self.begin_statement(connection, statement)
        yield from self._push(Frame("", connection, savepoint=statement.savepoint))

    def release(self, connection: LogicalConnection, statement: Statement) -> Steps:
        """Merge the application's savepoint into what is below it."""
        place = self._place_of(connection, statement)
        released, connection.frames = connection.frames[place:], connection.frames[:place]
        below = connection.frames[-1] if connection.frames else None
        if below is None or not self._is_top([below, *released]):
            for frame in released:
                if frame.is_open:
                    frame.savepoint = None
                    connection.frames.append(frame)
            return
        yield from self._merge(below, released)

    def rollback_to(self, connection: LogicalConnection, statement: Statement) -> Steps:
        """Undo what *connection* did since its savepoint, which stays."""
        __tracebackhide__ = True
        place = self._place_of(connection, statement)
        undone, connection.frames = connection.frames[place:], connection.frames[:place]
        kept = undone[0]
        connection.has_failed = False
        if self._is_top(undone) and not any(frame.buried for frame in undone):
            yield Run(f"ROLLBACK TO SAVEPOINT {kept.name}")
            del self.frames[len(self.frames) - len(undone) + 1 :]
            kept.wrote = kept.unclear = kept.locked_rows = False
            connection.frames.append(kept)
            yield from self._settle()
            return
        yield from self._undo(undone, connection, connection.describe(), connection.is_arranging)
        yield from self._settle()
        yield from self._release_ownerless()
        again = Frame("", connection, savepoint=kept.savepoint, is_open=False)
        connection.frames.append(again)

    def has_savepoint(self, connection: LogicalConnection, name: str | None) -> bool:
        """Whether *connection* has set a savepoint of that name."""
        return any(frame.savepoint == name for frame in connection.frames)

    # -- the stack ----------------------------------------------------------------------------

    def _push(self, frame: Frame) -> Steps:
        frame.name = f"pgsandbox_{next(self._numbers)}"
        frame.is_open = True
        yield Run(f"SAVEPOINT {frame.name}")
        self.frames.append(frame)
        if frame.owner is not None and frame not in frame.owner.frames:
            frame.owner.frames.append(frame)

    def _merge(self, below: Frame, released: list[Frame]) -> Steps:
        """Release *released*, the top of the stack, into *below*, of the same connection."""
        yield Run(f"RELEASE SAVEPOINT {released[0].name}")
        del self.frames[-len(released) :]
        for frame in released:
            below.buried = below.buried or frame.buried
            below.wrote = below.wrote or frame.wrote
            below.unclear = below.unclear or frame.unclear
            below.locked_rows = below.locked_rows or frame.locked_rows

    def _is_top(self, frames: list[Frame]) -> bool:
        return bool(frames) and self.frames[-len(frames) :] == frames

    def _place_of(self, connection: LogicalConnection, statement: Statement) -> int:
        places = [
            place
            for place, frame in enumerate(connection.frames)
            if frame.savepoint == statement.savepoint
        ]
        return places[-1]

    def _undo(
        self,
        frames: list[Frame],
        connection: LogicalConnection,
        who: str,
        arranging: bool,
        *,
        may_wait: bool = False,
    ) -> Steps:
        """Go back to the lowest dirty frame of *frames*; leave the clean ones without an owner."""
        __tracebackhide__ = True
        frames = [frame for frame in frames if frame.is_open]
        if self._is_top(frames) and not any(frame.buried for frame in frames):
            yield Run(f"ROLLBACK TO SAVEPOINT {frames[0].name}; RELEASE SAVEPOINT {frames[0].name}")
            del self.frames[-len(frames) :]
            return
        yield from self._clear_up(self._hard_to_tell_later())
        if not any(frame.is_dirty for frame in self.frames):
            yield from self._clear_up(frames)
        dirty = [
            place for place, frame in enumerate(self.frames) if frame in frames and frame.wrote
        ]
        for frame in frames:
            frame.owner = None
        if not dirty:
            return
        above = self.frames[dirty[0] :]
        others = [
            frame
            for frame in above
            if frame.buried or (frame.wrote and not frame.is_doomed and frame not in frames)
        ]
        if others and arranging:
            self._seal(frames, _name_of(others[0]))
        elif others:
            self._collide(frames, others, who, may_wait=may_wait)
        else:
            yield from self._drop(dirty[0])

    def _collide(
        self, frames: list[Frame], others: list[Frame], who: str, *, may_wait: bool
    ) -> None:
        error = _interleaved(who, _name_of(others[0]))
        if not may_wait or any(frame.buried for frame in others):
            for frame in frames:
                frame.buried, frame.wrote = frame.buried or who, False
            raise error
        for frame in frames:
            frame.is_doomed = frame.wrote
        self._pending = self._pending or error

    def _settle(self) -> Steps:
        """Undo what waited for somebody else's writes above it, once these are undone."""
        above = self._from_doomed_on()
        if any(frame.is_dirty and not frame.is_doomed for frame in above):
            return
        self._pending = None
        if above:
            yield from self._drop(self.frames.index(above[0]))

    def _from_doomed_on(self) -> list[Frame]:
        return list(itertools.dropwhile(lambda frame: not frame.is_doomed, self.frames))

    def _is_above_doomed(self, connection: LogicalConnection) -> bool:
        return any(frame.is_dirty for frame in self._from_doomed_on() if frame.owner is connection)

    def _drop(self, place: int) -> Steps:
        """Go back to the frame at *place*, above which nothing of value stands."""
        name = self.frames[place].name
        yield Run(f"ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}")
        above, self.frames[place:] = self.frames[place:], []
        for frame in above:
            if frame.owner is not None:
                self._lose(frame)

    def _lose(self, frame: Frame) -> None:
        """Forget a clean frame of somebody else that the server dropped with the rest."""
        assert frame.owner is not None
        if frame.savepoint is not None:
            frame.is_open = False
        else:
            frame.owner.frames.remove(frame)

    def _release_ownerless(self) -> Steps:
        """Release the frames on top that nobody owns, merging their writes into the next below."""
        place = len(self.frames)
        while place and self.frames[place - 1].owner is None:
            place -= 1
        top = self.frames[place:]
        if not top:
            return
        yield Run(f"RELEASE SAVEPOINT {top[0].name}")
        del self.frames[place:]
        buried = next((frame.buried for frame in top if frame.buried), None)
        if buried and self.frames:
            self.frames[-1].buried = self.frames[-1].buried or buried

    def _seal_below(self, place: int, who: str) -> None:
        """Make the arranging session's frames below *place* stand, so that *who*'s commit does."""
        for frame in self.frames[:place]:
            owner = frame.owner
            if owner is not None and owner.is_arranging:
                mark = Frame("", owner, savepoint=frame.savepoint, is_open=False)
                here = owner.frames.index(frame)
                owner.frames[here : here + 1] = [mark] if mark.savepoint is not None else []
                frame.owner = None
                self._seal([frame], who)

    def _seal(self, frames: list[Frame], who: str) -> None:
        for frame in frames:
            if frame.wrote:
                frame.buried, frame.wrote = frame.buried or "the test's own session", False
                note = f"rows that the test's own session flushed stay, because {who} came after"
                if note not in self.notes:
                    self.notes.append(note)

    def _finish(self, connection: LogicalConnection) -> None:
        connection.in_transaction = connection.is_explicit = connection.reads_only = False
        connection.has_failed = connection.skips_constraints = False
        connection.first_write = None
        connection.transactions += 1

    # -- questions to the server --------------------------------------------------------------

    def _may_have_written(self, connection: LogicalConnection) -> bool:
        """Whether *connection* may have changed what a deferred constraint looks at."""
        is_sealed = connection.is_arranging and connection.first_write is not None
        return is_sealed or any(frame.wrote or frame.unclear for frame in connection.frames)

    def _look_below(self, connection: LogicalConnection) -> Steps:
        """Before *connection* writes, learn whether others' rows break a deferred constraint."""
        is_dirty = self._is_broken_below or any(frame.is_dirty for frame in self.frames)
        if self.constraints.are_deferrable and is_dirty:
            self._is_broken_below = connection.skips_constraints = False
            yield Run("SAVEPOINT pgsandbox_look")
            try:
                yield Run("SET CONSTRAINTS ALL IMMEDIATE")
            except Exception:  # noqa: BLE001  # the driver's, which is not known here
                self._is_broken_below = connection.skips_constraints = True
            yield Run("ROLLBACK TO SAVEPOINT pgsandbox_look; RELEASE SAVEPOINT pgsandbox_look")

    def _hard_to_tell_later(self) -> list[Frame]:
        """Return the frames of which the server has to be asked before more is written above.

        The test's own session at the bottom is left out: what it read there, nobody undoes.
        """
        bottom = next(
            (place for place, frame in enumerate(self.frames) if not _is_arranging(frame)),
            len(self.frames),
        )
        return self.frames[bottom:]

    def _keep_apart(
        self, connection: LogicalConnection, frame: Frame, statement: Statement
    ) -> Steps:
        """Keep row locks and plain reads in frames of their own.

        Both leave nothing to undo, but in one frame the transaction id that a lock takes would hide
        whether a function that a read called has written.
        """
        if statement.kind is Kind.READ and frame.locked_rows and not frame.wrote:
            yield from self._push(Frame("", connection))
        elif statement.kind is Kind.LOCKING_READ and frame.unclear:
            yield from self._clear_up([frame])
            below = connection.frames[-2:-1]
            if below and self._is_top([*below, frame]) and not (frame.wrote or frame.savepoint):
                connection.frames.pop()
                yield from self._merge(below[0], [frame])

    def _clear_up(self, frames: list[Frame]) -> Steps:
        """Ask the server whether a frame that saw plain reads was written in by a function.

        The ids belong to a prefix of the stack, below which stand the transaction itself and the
        savepoints that enclose the test.
        """
        if not any(frame.unclear for frame in frames):
            return
        ids = yield Ask(IDS)
        for place, frame in enumerate(self.frames):
            if frame in frames:
                frame.wrote = frame.wrote or (
                    frame.unclear and place + self._places_below < (ids or 0)
                )
                frame.unclear = False


def _interleaved(undone: str, other: str) -> TransactionsInterleaved:
    return TransactionsInterleaved(
        "Two transactions interleaved in a way that the one connection of a sandboxed test "
        "can't express: one rolled back, and the other had written after it.",
        facts=[
            Fact("rolled back", undone),
            Fact("must stay", other),
        ],
        remedy=(
            "In production the second one's rows would stay. Give the test a database of its "
            'own, with real transactions: @pytest.mark.pgsandbox(isolation="clone"); or end the '
            "first transaction before the second one writes."
        ),
    )


def _closed_at_end(frames: list[Frame]) -> list[Frame]:
    """Return the savepoints to be set again: those that no open frame stands above."""
    return list(itertools.takewhile(lambda frame: not frame.is_open, reversed(frames)))[::-1]


def _is_arranging(frame: Frame) -> bool:
    return frame.owner is not None and frame.owner.is_arranging


def _name_of(frame: Frame) -> str:
    return frame.buried or (frame.owner.describe() if frame.owner else "a committed transaction")
