"""What the application wrote and never committed, and what was read of it before.

The endpoint knows what is not committed. Whether that is a finding depends on who wrote it, which
only the test process can tell. It is none where anything speaks for the test: its own session, a
session that its code holds, its own line, an object that it had added, a function of the
application that it calls by itself and whose caller has to commit, a thread that is still at work.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import (
    AsyncGeneratorType,
    CellType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import Connection

from pgsandbox.errors import DirtyRead, Fact, PgSandboxError, UncommittedWrites
from pgsandbox.sandbox.statement_places import Place, StatementPlaces, now

if TYPE_CHECKING:
    from pgsandbox.sandbox.routes import Route
    from pgsandbox.sandbox.test_database import TestDatabase

_SETTLING = 0.3
"""Seconds for which somebody who is not the test's thread must have been idle."""
_TIME_LIMIT = 1.5
"""Seconds that the end of a test waits for that."""
_SHOWN = 3
"""Writes that one finding names."""


@dataclass(frozen=True)
class Found:
    """A finding, which a commit in the teardown of the test's fixtures may still refute."""

    key: str
    """What the endpoint calls the writer's transaction."""
    error: PgSandboxError
    place: str
    """The line of the application that wrote."""


class UncommittedWork:
    """Judges what one test database has not committed at the end of a test's body."""

    def __init__(
        self,
        database: TestDatabase,
        places: StatementPlaces,
        test: str,
        find_held: Callable[[], Iterable[Any]],
    ) -> None:
        self._database = database
        self._places = places
        self._test = test
        self._find_held = find_held

    def find(self) -> list[Found]:
        """Return the findings of the test whose body has just ended."""
        seen = self._settled()
        if seen is None:
            return []
        reads = [found for each in seen["reads"] if (found := self._dirty_read(each))]
        told = {each.key for each in reads}
        held = [found for each in seen["held"] if (found := self._held(each))]
        return reads[:1] + [each for each in held if each.key not in told]

    def _settled(self) -> dict[str, Any] | None:
        """Return what is not committed, once nobody else is in the middle of it."""
        until = now() + _TIME_LIMIT
        seen = self._database.seen
        while seen is not None and any(map(self._is_restless, seen["held"])):
            if now() > until:
                break
            time.sleep(0.02)
            seen = self._database.look_again()
        return seen

    def _is_restless(self, held: Mapping[str, Any]) -> bool:
        """Whether somebody else than the test's thread has written, and may go on."""
        route = self._route(held["token"])
        if route is not None and route.thread is threading.current_thread():
            return False
        return bool(held["idle"] < _SETTLING)

    # -- writes that nobody committed -----------------------------------------------------------

    def _held(self, held: Mapping[str, Any]) -> Found | None:
        token = held["token"]
        writes = self._writes_of_application(held)
        if not writes or self._is_at_work(token, held) or self._is_tests_own(token):
            return None
        facts = [*_written(writes), Fact("connection", held["connection"]), self._of_test()]
        error = UncommittedWrites(
            "The application has written rows that nothing has committed.",
            facts=facts,
            remedy=(
                "Its connection is still open, so the test may have read them, and nobody ever "
                "will in production. Commit where the request or the job ends. A test that means "
                'it says so: @pytest.mark.pgsandbox(uncommitted="ignore").'
            ),
        )
        return Found(held["key"], error, str(writes[0][1] or held["connection"]))

    # -- reads of them -------------------------------------------------------------------------

    def _dirty_read(self, said: Mapping[str, Any]) -> Found | None:
        token = said["token"]
        read = said["read"]
        reader = self._places.of(said["reader_token"], read["at"])
        if reader is not None and reader.at < said["writes"][0]["at"]:
            reader = None  # of an earlier statement
        is_by_test = said["is_by_test"] or (reader is not None and reader.is_test)
        writes = self._writes_of_application(said, is_read_by_test=is_by_test)
        if not writes or (said["is_committed"] and not _is_in_order(writes, reader)):
            return None
        if self._is_tests_own(token):
            return None
        facts = [*_written(writes)]
        facts += [Fact("read", _one_line(read["text"]))]
        facts += [Fact("from", str(reader) if reader else said["reader"])]
        facts += [Fact("table", said["table"]), self._of_test()]
        who = "The test" if is_by_test else "Another connection"
        error = DirtyRead(
            f"{who} has read rows that the application had not committed at that moment.",
            facts=facts,
            remedy=(
                "On two real connections the second would not have seen them. Commit before "
                "somebody else reads, or read by the same session. A test that means it says so: "
                '@pytest.mark.pgsandbox(uncommitted="ignore").'
            ),
        )
        return Found(said["key"], error, str(writes[0][1] or said["connection"]))

    # -- whose it is ---------------------------------------------------------------------------

    def _writes_of_application(
        self, said: Mapping[str, Any], *, is_read_by_test: bool = False
    ) -> list[tuple[str, Place | None]]:
        """Return the writes that nothing of the test has sent or arranged, each with its place.

        What the test calls by itself counts if the test reads it by another connection, too. Of a
        connection that the test process knows nothing of, all count.
        """
        token = said["token"]
        writes = [(each["text"], self._places.of(token, each["at"])) for each in said["writes"]]
        if not token:
            return writes
        return [
            (text, place)
            for text, place in writes
            if place is not None
            and not place.is_test
            and not place.is_arranged
            and (place.is_entered or (is_read_by_test and place.is_called_by_test))
        ]

    def _route(self, token: str) -> Route | None:
        return self._database.routes.of(token) if token else None

    def _is_tests_own(self, token: str) -> bool:
        """Whether code of the tests holds the session, so that its commit is the test's affair."""
        route = self._route(token)
        used = [route.session, route.user] if route is not None else []
        found = [each for use in used if use is not None and (each := use()) is not None]
        known = {id(each) for one in found for each in _wrapped(one)}
        if any(id(each) in known for each in self._find_held()):
            return True
        # This looks at every object that there is, so it comes last.
        return any(
            self._places.is_test_file(filename) for each in found for filename in _holders(each)
        )

    def _is_at_work(self, token: str, held: Mapping[str, Any]) -> bool:
        """Whether somebody else may still commit: a thread, a task, another process."""
        route = self._route(token)
        if route is None:
            return bool(held["idle"] < _SETTLING)
        loop = route.loop() if route.loop is not None else None
        if loop is not None and not loop.is_closed():
            return any(self._places.is_at_work(each) for each in _frames_of_tasks(loop))
        if route.thread is None:
            return bool(held["idle"] < _SETTLING)
        if route.thread is threading.current_thread() or not route.thread.is_alive():
            return False
        frame = sys._current_frames().get(route.thread.ident or 0)
        return frame is not None and self._places.is_at_work(frame)

    def _of_test(self) -> Fact:
        return Fact("test", self._test)


def _written(writes: Sequence[tuple[str, Place | None]]) -> Iterator[Fact]:
    for text, place in writes[:_SHOWN]:
        yield Fact("written", _one_line(text))
        if place is not None:
            yield Fact("at", str(place))
    if len(writes) > _SHOWN:
        yield Fact("and", f"{len(writes) - _SHOWN} more")


def _is_in_order(writes: Sequence[tuple[str, Place | None]], reader: Place | None) -> bool:
    """Whether the read came between write and commit whatever the timing: on one thread."""
    first = writes[0][1]
    return first is not None and reader is not None and first.thread == reader.thread


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:197]}..."


def _frames_of_tasks(loop: Any) -> Iterator[FrameType]:
    import asyncio

    for task in asyncio.all_tasks(loop):
        yield from task.get_stack(limit=20)


# ------------------------------------------------------------------------- who holds a session

_Code = Callable[[Any], str]


def _holders(used: Any) -> Iterator[str]:
    """Yield the files of the code that has a session or a connection in a variable or attribute.

    An application's own is in a registry, a request's context, an object of its own.
    """
    mine = {id(sys._getframe(depth)) for depth in range(3)}
    for each in _wrapped(used):
        for holder in gc.get_referrers(each):
            if id(holder) in mine:
                continue
            yield from _file_of(holder)
            if isinstance(holder, CellType):
                for function in gc.get_referrers(holder):
                    yield from _file_of(function)
                    if isinstance(function, tuple):  # a function's closure
                        for outer in gc.get_referrers(function):
                            yield from _file_of(outer)


def _wrapped(used: Any) -> Iterator[Any]:
    """Yield what is *used*, and what an asynchronous application has of it."""
    yield used
    if "sqlalchemy.ext.asyncio" in sys.modules:
        from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

        kind = AsyncConnection if isinstance(used, Connection) else AsyncSession
        found = kind._retrieve_proxy_for_target(used, regenerate=False)
        if found is not None:
            yield found


def _file_of(holder: Any) -> Iterator[str]:  # noqa: C901  # one answer for each kind
    if isinstance(holder, FrameType):
        yield holder.f_code.co_filename
    elif isinstance(holder, GeneratorType):
        yield holder.gi_code.co_filename
    elif isinstance(holder, CoroutineType):
        yield holder.cr_code.co_filename
    elif isinstance(holder, AsyncGeneratorType):
        yield holder.ag_code.co_filename
    elif isinstance(holder, FunctionType):
        yield holder.__code__.co_filename
    elif isinstance(holder, ModuleType):
        yield str(getattr(holder, "__file__", ""))
    elif not isinstance(holder, dict):
        yield _file_of_class(type(holder))
    elif "__name__" in holder and "__file__" in holder:  # a module's variables
        yield str(holder["__file__"])
    else:
        for owner in gc.get_referrers(holder):
            if isinstance(owner, type):
                yield _file_of_class(owner)
            elif _variables(owner) is holder:
                yield _file_of_class(type(owner))


def _variables(owner: Any) -> Any:
    try:
        return object.__getattribute__(owner, "__dict__")
    except AttributeError:
        return None


def _file_of_class(kind: type) -> str:
    return str(getattr(sys.modules.get(kind.__module__), "__file__", None) or "")
