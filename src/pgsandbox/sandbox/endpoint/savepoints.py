"""The savepoints of one transaction on the server, shared by any number of clients.

Pure bookkeeping: nothing here talks to a server. Every operation is a generator that yields the SQL
to run and is told how it went.

The server keeps savepoints as a stack. Each client that is in a transaction owns one or more of
them, from bottom to top: the one its transaction began with, one for each of its own savepoints,
and one for each time it went on after another client had put a savepoint above. What commit and
rollback do follows from the stack alone:

* commit leaves the client's savepoints behind without an owner, and releases them as soon as
  nothing of anybody else stands above;
* rollback returns to the lowest savepoint in which the client wrote, and that is exact as long as
  nobody else's writes stand above it;
* where somebody else's do, one transaction can't express the result: `TransactionsInterleaved`. It
  is raised at once if they are committed. If they are not, they may still be rolled back, too; it
  is raised when anybody goes on before that.

The test's own session is the exception, because it only arranges data: where its rollback would
undo what the application committed, its rows stay instead ("sealed"), so that it never stands in
the application's way.
"""

from __future__ import annotations

import itertools

from pgsandbox.errors import TransactionsInterleaved
from pgsandbox.sandbox.endpoint import refusals
from pgsandbox.sandbox.endpoint.constraints import Constraints
from pgsandbox.sandbox.endpoint.outer import IDS
from pgsandbox.sandbox.endpoint.sessions import Ask, ClientSession, Run, Savepoint, Steps
from pgsandbox.sandbox.endpoint.statements import Kind, Statement


class SavepointStack:
    """The savepoints of one physical transaction, and the rules by which they stand and fall."""

    def __init__(self, constraints: Constraints, *, places_below: int = 2) -> None:
        self.savepoints: list[Savepoint] = []
        self.constraints = constraints
        self.notes: list[str] = []
        """What a person who reads a failure should know about the arranging session."""
        self.places_below = places_below
        """How many transactions and savepoints enclose the first savepoint."""
        self._numbers = itertools.count(1)
        self._is_broken_below = False
        """Whether rows that nobody will undo broke a deferred constraint when last looked at."""
        self._pending: TransactionsInterleaved | None = None
        """What the next statement gets to hear, unless the rest is rolled back before."""
        self.is_in_teardown = False
        """Whether all is undone soon, and nobody looks at what a rollback leaves until then."""

    @property
    def is_pending(self) -> bool:
        """Whether the rows are not what production would have, but may still become so."""
        return self._pending is not None

    # -- statements ---------------------------------------------------------------------------

    def begin_statement(self, session: ClientSession, statement: Statement) -> Steps:
        """Put *session* on top of the stack, so that *statement* can fail without harm."""
        __tracebackhide__ = True
        if (pending := self._heard()) is not None:
            raise pending
        session.in_transaction = True
        mine = session.savepoints[-1] if session.savepoints else None
        if mine is not None and mine in self.savepoints[-1:] and not mine.buried:
            yield from self._keep_apart(session, mine, statement)
            return
        yield from self._clear_up(self._hard_to_tell_later())
        if not self._may_have_written(session):
            yield from self._look_below(session)
        for savepoint in _closed_at_end(session.savepoints) or [Savepoint("", session)]:
            yield from self._push(savepoint)

    def put_on_top(self, session: ClientSession, statement: Statement) -> str | None:
        """Do what `begin_statement` does, if the server need not be asked; return the SQL for it.

        None means that nothing was done: the server must be asked, or somebody must hear something.
        """
        if self._heard() is not None:
            return None
        if session.savepoints:
            mine = session.savepoints[-1]
            if mine.buried or mine is not self.savepoints[-1]:
                return None
            if statement.kind is Kind.READ and mine.locked_rows and not mine.wrote:
                return None
            return None if statement.kind is Kind.LOCKING_READ and mine.unclear else ""
        if self.constraints.are_deferrable or any(each.unclear for each in self.savepoints):
            return None
        (command,) = self._push(Savepoint("", session))
        return command.sql

    def statement_succeeded(
        self, session: ClientSession, statement: Statement, *, is_clear: bool = False
    ) -> None:
        """Remember what *statement* leaves to undo; a read that *is_clear* leaves nothing."""
        savepoint = session.savepoints[-1]
        if statement.kind is Kind.READ:
            savepoint.unclear = not savepoint.wrote and (savepoint.unclear or not is_clear)
        elif statement.kind is Kind.LOCKING_READ:
            savepoint.locked_rows = True
        else:
            savepoint.wrote, savepoint.unclear = True, False
            if session.first_write is None:
                session.first_write = statement.text

    def statement_failed(self, session: ClientSession) -> Steps:
        """Make the physical transaction usable again; *session* can only roll back now."""
        savepoint = session.savepoints[-1]
        yield Run(f"ROLLBACK TO SAVEPOINT {savepoint.name}")
        savepoint.wrote = savepoint.unclear = savepoint.locked_rows = False
        session.has_failed = True

    # -- transactions -------------------------------------------------------------------------

    def commit(self, session: ClientSession) -> Steps:
        """Let what *session* did stand; check the deferred constraints as a COMMIT would.

        A transaction in which a statement failed is rolled back, as the server does.
        """
        __tracebackhide__ = True
        if session.has_failed:
            yield from self.rollback(session)
            return
        pending = self._heard()
        if pending is not None and self._is_above_doomed(session):
            raise pending
        if len(self.savepoints) > len(session.savepoints):
            yield from self._clear_up(session.savepoints)
        if (
            self.constraints.are_deferrable
            and not session.skips_constraints
            and self._may_have_written(session)
        ):
            try:
                yield from self.check_constraints()
            except Exception:
                # With somebody else's writes above, nobody can tell whose rows are to blame.
                yield from self.rollback(session, may_wait=False)
                raise
        who = session.describe()
        savepoints, session.savepoints = session.savepoints, []
        dirty = [savepoint for savepoint in savepoints if savepoint.is_open and savepoint.is_dirty]
        for savepoint in savepoints:
            savepoint.owner = None
            if savepoint.wrote:
                savepoint.buried, savepoint.wrote = who, False
        if dirty:
            self._seal_below(self.savepoints.index(dirty[-1]), who)
        self._finish(session)
        yield from self._release_ownerless()

    def rollback(self, session: ClientSession, *, may_wait: bool = True) -> Steps:
        """Undo what *session* did in its transaction, and nothing else.

        Raises:
            TransactionsInterleaved: somebody else's committed writes stand above what would be
                undone, or, unless *may_wait*, open ones.
        """
        __tracebackhide__ = True
        savepoints, session.savepoints = session.savepoints, []
        who = session.describe()
        arranging = session.is_arranging
        self._finish(session)
        yield from self._undo(savepoints, session, who, arranging, may_wait=may_wait)
        yield from self._settle()
        yield from self._release_ownerless()

    def check_constraints(self) -> Steps:
        """Check every deferred constraint now, and defer again those that are deferred initially.

        RELEASE SAVEPOINT checks none; ``SET CONSTRAINTS ALL DEFERRED`` would also defer those that
        are immediate initially, so the others are restored by name (PostgreSQL manual, SET
        CONSTRAINTS). A failed check leaves the transaction as it was.
        """
        restore = f"; {self.constraints.to_defer}" if self.constraints.to_defer else ""
        try:
            yield Run(
                f"SAVEPOINT pgsandbox_check; SET CONSTRAINTS ALL IMMEDIATE{restore}; "
                "RELEASE SAVEPOINT pgsandbox_check",
                may_fail=True,
            )
        except Exception:
            yield Run("ROLLBACK TO SAVEPOINT pgsandbox_check; RELEASE SAVEPOINT pgsandbox_check")
            raise

    # -- savepoints of the application's own --------------------------------------------------

    def set_savepoint(self, session: ClientSession, statement: Statement) -> Steps:
        """Set the application's savepoint under a name that collides with nobody's."""
        yield from self.begin_statement(session, statement)
        yield from self._push(Savepoint("", session, given_name=statement.name))

    def release(self, session: ClientSession, statement: Statement) -> Steps:
        """Merge the application's savepoint into what is below it."""
        place = self._place_of(session, statement)
        released, session.savepoints = session.savepoints[place:], session.savepoints[:place]
        below = session.savepoints[-1] if session.savepoints else None
        if below is None or not self._is_top([below, *released]):
            for savepoint in released:
                if savepoint.is_open:
                    savepoint.given_name = None
                    session.savepoints.append(savepoint)
            return
        yield from self._merge(below, released)

    def rollback_to(self, session: ClientSession, statement: Statement) -> Steps:
        """Undo what *session* did since its savepoint, which stays."""
        __tracebackhide__ = True
        place = self._place_of(session, statement)
        undone, session.savepoints = session.savepoints[place:], session.savepoints[:place]
        kept = undone[0]
        session.has_failed = False
        if self._is_top(undone) and not any(savepoint.buried for savepoint in undone):
            yield Run(f"ROLLBACK TO SAVEPOINT {kept.name}")
            del self.savepoints[len(self.savepoints) - len(undone) + 1 :]
            kept.wrote = kept.unclear = kept.locked_rows = False
            session.savepoints.append(kept)
            yield from self._settle()
            return
        yield from self._undo(undone, session, session.describe(), session.is_arranging)
        yield from self._settle()
        yield from self._release_ownerless()
        again = Savepoint("", session, given_name=kept.given_name, is_open=False)
        session.savepoints.append(again)

    def has_savepoint(self, session: ClientSession, name: str | None) -> bool:
        """Whether *session* has set a savepoint of that name."""
        return any(savepoint.given_name == name for savepoint in session.savepoints)

    # -- the stack ----------------------------------------------------------------------------

    def _push(self, savepoint: Savepoint) -> Steps:
        savepoint.name = f"pgsandbox_{next(self._numbers)}"
        savepoint.is_open = True
        yield Run(f"SAVEPOINT {savepoint.name}")
        self.savepoints.append(savepoint)
        if savepoint.owner is not None and savepoint not in savepoint.owner.savepoints:
            savepoint.owner.savepoints.append(savepoint)

    def _merge(self, below: Savepoint, released: list[Savepoint]) -> Steps:
        """Release *released*, the top of the stack, into *below*, of the same session."""
        yield Run(f"RELEASE SAVEPOINT {released[0].name}")
        del self.savepoints[-len(released) :]
        for savepoint in released:
            below.buried = below.buried or savepoint.buried
            below.wrote = below.wrote or savepoint.wrote
            below.unclear = below.unclear or savepoint.unclear
            below.locked_rows = below.locked_rows or savepoint.locked_rows

    def _is_top(self, savepoints: list[Savepoint]) -> bool:
        return bool(savepoints) and self.savepoints[-len(savepoints) :] == savepoints

    def _place_of(self, session: ClientSession, statement: Statement) -> int:
        places = [
            place
            for place, savepoint in enumerate(session.savepoints)
            if savepoint.given_name == statement.name
        ]
        return places[-1]

    def _undo(
        self,
        savepoints: list[Savepoint],
        session: ClientSession,
        who: str,
        arranging: bool,
        *,
        may_wait: bool = False,
    ) -> Steps:
        """Go back to the lowest dirty savepoint of *savepoints*; leave the clean ones unowned."""
        __tracebackhide__ = True
        savepoints = [savepoint for savepoint in savepoints if savepoint.is_open]
        if self._is_top(savepoints) and not any(savepoint.buried for savepoint in savepoints):
            name = savepoints[0].name
            yield Run(f"ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}")
            del self.savepoints[-len(savepoints) :]
            return
        yield from self._clear_up(self._hard_to_tell_later())
        if not any(savepoint.is_dirty for savepoint in self.savepoints):
            yield from self._clear_up(savepoints)
        dirty = [
            place
            for place, savepoint in enumerate(self.savepoints)
            if savepoint in savepoints and savepoint.wrote
        ]
        for savepoint in savepoints:
            savepoint.owner = None
        if not dirty:
            return
        above = self.savepoints[dirty[0] :]
        others = [
            savepoint
            for savepoint in above
            if savepoint.buried
            or (savepoint.wrote and not savepoint.is_doomed and savepoint not in savepoints)
        ]
        if others and arranging:
            self._seal(savepoints, _name_of(others[0]))
        elif others:
            self._collide(savepoints, others, who, may_wait=may_wait)
        else:
            yield from self._drop(dirty[0])

    def _collide(
        self, savepoints: list[Savepoint], others: list[Savepoint], who: str, *, may_wait: bool
    ) -> None:
        error = refusals.interleaved(who, _name_of(others[0]))
        if not may_wait or any(savepoint.buried for savepoint in others):
            for savepoint in savepoints:
                savepoint.buried, savepoint.wrote = savepoint.buried or who, False
            if self.is_in_teardown:
                return
            raise error
        for savepoint in savepoints:
            savepoint.is_doomed = savepoint.wrote
        self._pending = self._pending or error

    def _settle(self) -> Steps:
        """Undo what waited for somebody else's writes above it, once these are undone."""
        above = self._from_doomed_on()
        if any(savepoint.is_dirty and not savepoint.is_doomed for savepoint in above):
            return
        self._pending = None
        if above:
            yield from self._drop(self.savepoints.index(above[0]))

    def _from_doomed_on(self) -> list[Savepoint]:
        return list(itertools.dropwhile(lambda savepoint: not savepoint.is_doomed, self.savepoints))

    def _heard(self) -> TransactionsInterleaved | None:
        """Return what whoever goes on now gets to hear."""
        return None if self.is_in_teardown else self._pending

    def _is_above_doomed(self, session: ClientSession) -> bool:
        return any(
            savepoint.is_dirty for savepoint in self._from_doomed_on() if savepoint.owner is session
        )

    def _drop(self, place: int) -> Steps:
        """Go back to the savepoint at *place*, above which nothing of value stands."""
        name = self.savepoints[place].name
        yield Run(f"ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}")
        above, self.savepoints[place:] = self.savepoints[place:], []
        for savepoint in above:
            if savepoint.owner is not None:
                self._lose(savepoint)

    def _lose(self, savepoint: Savepoint) -> None:
        """Forget a clean savepoint of somebody else that the server dropped with the rest."""
        assert savepoint.owner is not None
        if savepoint.given_name is not None:
            savepoint.is_open = False
        else:
            savepoint.owner.savepoints.remove(savepoint)

    def _release_ownerless(self) -> Steps:
        """Release the savepoints on top that nobody owns; their writes are then the next one's."""
        place = len(self.savepoints)
        while place and self.savepoints[place - 1].owner is None:
            place -= 1
        top = self.savepoints[place:]
        if not top:
            return
        yield Run(f"RELEASE SAVEPOINT {top[0].name}")
        del self.savepoints[place:]
        buried = next((savepoint.buried for savepoint in top if savepoint.buried), None)
        if buried and self.savepoints:
            self.savepoints[-1].buried = self.savepoints[-1].buried or buried

    def _seal_below(self, place: int, who: str) -> None:
        """Make the arranging session's savepoints below *place* stand, for *who*'s commit."""
        for savepoint in self.savepoints[:place]:
            owner = savepoint.owner
            if owner is not None and owner.is_arranging:
                mark = Savepoint("", owner, given_name=savepoint.given_name, is_open=False)
                here = owner.savepoints.index(savepoint)
                owner.savepoints[here : here + 1] = [mark] if mark.given_name is not None else []
                savepoint.owner = None
                self._seal([savepoint], who)

    def _seal(self, savepoints: list[Savepoint], who: str) -> None:
        for savepoint in savepoints:
            if savepoint.wrote:
                savepoint.buried = savepoint.buried or "the test's own session"
                savepoint.wrote = False
                note = f"rows that the test's own session flushed stay, because {who} came after"
                if note not in self.notes:
                    self.notes.append(note)

    def _finish(self, session: ClientSession) -> None:
        session.ended()
        session.skips_constraints = False
        session.first_write = None

    # -- questions to the server --------------------------------------------------------------

    def _may_have_written(self, session: ClientSession) -> bool:
        """Whether *session* may have changed what a deferred constraint looks at."""
        is_sealed = session.is_arranging and session.first_write is not None
        return is_sealed or any(each.wrote or each.unclear for each in session.savepoints)

    def _look_below(self, session: ClientSession) -> Steps:
        """Before *session* writes, learn whether others' rows break a deferred constraint."""
        is_dirty = self._is_broken_below or any(savepoint.is_dirty for savepoint in self.savepoints)
        if self.constraints.are_deferrable and is_dirty:
            self._is_broken_below = session.skips_constraints = False
            yield Run("SAVEPOINT pgsandbox_look")
            try:
                yield Run("SET CONSTRAINTS ALL IMMEDIATE", may_fail=True)
            except Exception:  # noqa: BLE001  # the driver's, which is not known here
                self._is_broken_below = session.skips_constraints = True
            yield Run("ROLLBACK TO SAVEPOINT pgsandbox_look; RELEASE SAVEPOINT pgsandbox_look")

    def _hard_to_tell_later(self) -> list[Savepoint]:
        """Return the savepoints of which the server has to be asked before more is written above.

        The test's own session at the bottom is left out: what it read there, nobody undoes.
        """
        bottom = next(
            (
                place
                for place, savepoint in enumerate(self.savepoints)
                if not _is_arranging(savepoint)
            ),
            len(self.savepoints),
        )
        return self.savepoints[bottom:]

    def _keep_apart(
        self, session: ClientSession, savepoint: Savepoint, statement: Statement
    ) -> Steps:
        """Keep row locks and plain reads in savepoints of their own.

        Both leave nothing to undo, but in one savepoint the transaction id that a lock takes would
        hide whether a function that a read called has written.
        """
        if statement.kind is Kind.READ and savepoint.locked_rows and not savepoint.wrote:
            yield from self._push(Savepoint("", session))
        elif statement.kind is Kind.LOCKING_READ and savepoint.unclear:
            yield from self._clear_up([savepoint])
            below = session.savepoints[-2:-1]
            if (
                below
                and self._is_top([*below, savepoint])
                and not (savepoint.wrote or savepoint.given_name)
            ):
                session.savepoints.pop()
                yield from self._merge(below[0], [savepoint])

    def _clear_up(self, savepoints: list[Savepoint]) -> Steps:
        """Ask the server whether a savepoint that saw plain reads was written in by a function.

        The ids belong to a prefix of the stack, below which stand the transaction itself and the
        savepoints that enclose the test.
        """
        unclear = {id(savepoint) for savepoint in savepoints if savepoint.unclear}
        if not unclear:
            return
        ids = yield Ask(IDS)
        for place, savepoint in enumerate(self.savepoints):
            if id(savepoint) in unclear:
                savepoint.wrote = savepoint.wrote or place + self.places_below < (ids or 0)
                savepoint.unclear = False


def _closed_at_end(savepoints: list[Savepoint]) -> list[Savepoint]:
    """Return the savepoints to be set again: those that no open savepoint stands above."""
    free = itertools.takewhile(lambda savepoint: not savepoint.is_open, reversed(savepoints))
    return [*free][::-1]


def _is_arranging(savepoint: Savepoint) -> bool:
    return savepoint.owner is not None and savepoint.owner.is_arranging


def _name_of(savepoint: Savepoint) -> str:
    return savepoint.buried or (
        savepoint.owner.describe() if savepoint.owner else "a committed transaction"
    )
