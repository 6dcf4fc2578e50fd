"""Where in the project each statement came from, and on whose behalf.

SQLAlchemy tells of each statement right before it is sent, the endpoint knows when it came, and
both read the same clock: so a statement of the endpoint is the application's line that spoke last
on its connection.

A line is the *test's* where it stands in the tests, in a conftest, in what they import from beside
them, or in what pytest calls itself. Any other line of the project is the *application's*; it was
*entered* where a web framework, a command line, a queue or a thread called it, so that nobody
outside of it would commit in production.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import re
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path, PurePath
from types import CodeType
from typing import Any, NamedTuple

from pgsandbox.sandbox import call_sites

_ENTRIES = frozenset(
    {
        *("werkzeug", "starlette", "fastapi", "quart", "sanic", "aiohttp", "litestar", "falcon"),
        *("bottle", "tornado", "django", "wsgiref", "socketserver", "uvicorn", "hypercorn"),
        *("webtest", "pyramid", "a2wsgi", "connexion", "flask_restx", "strawberry", "ariadne"),
        *("click", "typer", "cyclopts"),
        *("celery", "kombu", "dramatiq", "rq", "huey", "apscheduler", "arq", "grpc"),
        *("threading", "concurrent", "multiprocessing"),
    }
)
"""Who calls an application in production, where nobody above it knows of its transaction."""
_OF_TESTS = re.compile(r"(?:\A|[_-])(?:tests?|testing)(?:\Z|[_-])")
_RUNNERS = frozenset({"_pytest", "pluggy", "pytest"})
_MOST_CODES = 50_000
now = functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC)
"""The clock of ``time.monotonic``, which code under test may have stopped."""
_MOST_STATEMENTS = 100_000
_numbers = itertools.count()


class _RunningThread(threading.local):
    """The thread that looks at it. What `get_ident` says is given to the next one when it ends."""

    def __init__(self) -> None:
        self.number = next(_numbers)


_running = _RunningThread()


# What a frame belongs to. Plain numbers, since every statement compares some dozens of them.
_LIBRARY, _RUNNER, _TEST, _APPLICATION, _ENTRY, _AUTOFLUSH = range(6)


class Place(NamedTuple):
    """A line that sent statements."""

    at: float
    """When, by the clock that all processes of the machine share."""
    token: str
    """Whose connection it was."""
    thread: int
    """The number of the thread, which no other one of the process gets."""
    file: str
    line: int
    is_test: bool
    """Whether the line is the test's."""
    is_entered: bool = False
    """Whether a framework called the application, not the test."""
    is_called_by_test: bool = False
    """Whether the test called the application by itself."""
    is_arranged: bool = False
    """Whether what was written may be what the test itself had given to the session, or changed in
    it: an object that it added, or any that a query flushes."""

    def __str__(self) -> str:
        return f"{call_sites.relative(self.file)}:{self.line}"


class _Known(NamedTuple):
    """Where in the stack a statement's line was found, and what decided whose it is."""

    depth: int
    code: int
    """The identity of its code."""
    outer: int
    """Where what decided was found; 0 if the line decides by itself."""
    outer_code: int
    what: tuple[bool, bool, bool, bool]


class StatementPlaces:
    """The places of the running test's statements, in the order in which they were sent."""

    def __init__(self) -> None:
        self._kinds: dict[int, int] = {}
        """By the identity of code: its hash is made of all that it holds, each time anew."""
        self._codes: list[CodeType] = []
        """Those, so that nothing else gets their identity."""
        self._places: dict[str, list[Place]] = {}
        self._known: dict[str, _Known] = {}
        """Where each statement was found last, by its text."""
        self._known_added: dict[str, tuple[int, int, bool]] = {}
        """Where an object of each kind was added last: depth, code, whether that is the test's."""
        self._writers: set[str] = set()
        """The application's connections that have sent what may write."""
        self._count = 0
        self._root = Path.cwd()
        self._tests: tuple[Path, ...] = ()
        self._packages: frozenset[str] = frozenset()

    def configure(self, root: Path, tests: Iterable[Path], packages: Iterable[str]) -> None:
        """Know the project's *root*, where its *tests* are, and its installed *packages*."""
        self._root, self._packages = root, frozenset(packages)
        self._tests = tuple(each for each in tests if each != root)

    def begin(self) -> None:
        """Forget the test that is over."""
        self._places.clear()
        self._writers.clear()
        self._count = 0
        if len(self._kinds) > _MOST_CODES:
            self._kinds.clear()
            self._codes.clear()
            self._known.clear()
            self._known_added.clear()

    def note(self, token: str, statement: str, session: Any, *, is_arranging: bool = False) -> None:
        """Remember who sends *statement* on the connection of that *token*.

        A read counts once another connection of the application has written, and a write unless
        the connection is the test's own: walking up the stack is what this costs.
        """
        # Of tables; a function that is all that is selected may write.
        is_read = statement[:6].upper() == "SELECT" and "FROM " in statement
        if is_read:
            if not self._writers or (len(self._writers) == 1 and token in self._writers):
                return
        elif is_arranging:
            return
        else:
            self._writers.add(token)
        if self._count >= _MOST_STATEMENTS:
            return
        self._count += 1
        found = self._find(token, statement, goes_outward=not is_read)
        if found is None:
            return
        if found.is_arranged and statement[:6].upper() == "INSERT":
            found = found._replace(is_arranged=False)  # of an object that somebody has added
        if not is_read and not found.is_test and session is not None and has_arranged(session):
            found = found._replace(is_arranged=True)
        places = self._places.get(token)
        if places is None:
            places = self._places[token] = []
        places.append(found)

    def of(self, token: str, at: float) -> Place | None:
        """Return the line that spoke last on the connection of that *token* before *at*."""
        places = self._places.get(token, [])
        place = bisect.bisect_right(places, at, key=lambda each: each.at)
        return places[place - 1] if place else None

    def is_in_test_code(self, added: str) -> bool:
        """Whether the caller is the test's own code, past the libraries in between.

        *added* names the kind of object that it is about, which most often comes from where one of
        its kind came from the last time.
        """
        known = self._known_added.get(added)
        if known is not None:
            try:
                if id(sys._getframe(known[0]).f_code) == known[1]:
                    return known[2]
            except ValueError:  # the stack is not that deep
                pass
        depth, frame = 1, sys._getframe(1)
        while True:
            kind = self._kind_of(frame)
            if kind in (_TEST, _APPLICATION):
                self._known_added[added] = depth, id(frame.f_code), kind == _TEST
                return kind == _TEST
            if kind == _RUNNER or frame.f_back is None:
                return False
            depth, frame = depth + 1, frame.f_back

    def is_at_work(self, frame: Any) -> bool:
        """Whether the stack that ends in *frame* has a line of the project."""
        while frame is not None:
            if self._kind_of(frame) in (_APPLICATION, _TEST):
                return True
            frame = frame.f_back
        return False

    def is_of_tests(self, frame: Any) -> bool:
        """Whether *frame* is the test's: a test, a fixture, what stands beside them."""
        return self._kind_of(frame) == _TEST

    def is_of_application(self, frame: Any) -> bool:
        """Whether *frame* is any other of the project's."""
        return self._kind_of(frame) == _APPLICATION

    def is_test_file(self, filename: str) -> bool:
        """Whether *filename* is a test, a conftest, or stands beside them."""
        if call_sites.is_library("", filename):
            return False
        path = PurePath(filename)
        stem = path.stem
        if call_sites.is_named_as_test(filename) or stem.endswith("_tests"):
            return True
        if stem in ("tests", "test") or any(path.is_relative_to(each) for each in self._tests):
            return True
        if not path.is_relative_to(self._root):
            return False
        return any(map(_OF_TESTS.search, path.relative_to(self._root).parts[:-1]))

    # -- frames -------------------------------------------------------------------------------

    def _find(self, token: str, statement: str, *, goes_outward: bool) -> Place | None:
        """Return the place of *statement*, which is most often where it was found the last time.

        Every frame that Python code looks at is an object that has to be made first, so only the
        two that decide are looked at where they are what they were.
        """
        known = self._known.get(statement)
        if known is not None:
            try:
                frame = sys._getframe(known.depth)
                if id(frame.f_code) == known.code and (
                    not known.outer or id(sys._getframe(known.outer).f_code) == known.outer_code
                ):
                    return self._place(token, frame, *known.what)
            except ValueError:  # the stack is not that deep
                pass
        return self._search(token, statement, goes_outward=goes_outward)

    def _search(self, token: str, statement: str, *, goes_outward: bool) -> Place | None:  # noqa: C901, PLR0912  # one loop, for its speed
        kind_of = self._kinds.get
        depth = 2  # up to the caller of `note`, as it was in `_find`
        frame: Any = sys._getframe(3)
        current: Any = None
        inner: Any = None
        inner_depth = 0
        is_entered = is_called = is_autoflush = is_inside = is_test = False
        kind: int | None = None
        while True:
            if frame is None:
                # SQLAlchemy runs its synchronous code below an async engine in a greenlet.
                current = _greenlet() if current is None else current.parent
                frame = current.gr_frame if current is not None else None
                if current is None:
                    break
                continue
            kind = kind_of(id(frame.f_code))
            if kind is None:
                kind = self._classify(frame)
            if kind == _LIBRARY:
                is_inside = False
            elif kind == _APPLICATION:
                is_inside = True
                if inner is None:
                    inner, inner_depth = frame, depth
                    if not goes_outward:
                        break
            elif kind == _TEST:
                is_called = inner is not None
                is_test = inner is None
                if inner is None:
                    inner, inner_depth = frame, depth
                break
            elif kind == _AUTOFLUSH:
                is_autoflush = True
            elif kind == _RUNNER:
                # What pytest calls by itself is a test or a fixture, wherever it stands.
                is_test = is_inside
                break
            elif inner is not None:
                is_entered = True
                break
            frame = frame.f_back
            depth += 1
        if inner is None:
            return None
        what = (is_test, is_entered, is_called, is_autoflush)
        if current is None and frame is not None:
            outer = depth if frame is not inner else 0
            if len(self._known) > _MOST_CODES:
                self._known.clear()
            self._known[statement] = _Known(
                inner_depth, id(inner.f_code), outer, id(frame.f_code), what
            )
        return self._place(token, inner, *what)

    def _place(
        self,
        token: str,
        frame: Any,
        is_test: bool,
        is_entered: bool = False,
        is_called: bool = False,
        is_arranged: bool = False,
    ) -> Place:
        line = frame.f_lineno
        template = frame.f_globals.get("__jinja_template__")
        if template is not None:  # what runs is Python that Jinja has made of it
            line = template.get_corresponding_lineno(line)
        file = frame.f_code.co_filename
        thread = _running.number
        return Place(now(), token, thread, file, line, is_test, is_entered, is_called, is_arranged)

    def _kind_of(self, frame: Any) -> int:
        kind = self._kinds.get(id(frame.f_code))
        return self._classify(frame) if kind is None else kind

    def _classify(self, frame: Any) -> int:
        kind = self._kinds[id(frame.f_code)] = self._judged(frame)
        self._codes.append(frame.f_code)
        return kind

    def _judged(self, frame: Any) -> int:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        filename = frame.f_code.co_filename
        if package in _RUNNERS:
            return _RUNNER
        if package in _ENTRIES:
            return _ENTRY
        if package == "sqlalchemy" and frame.f_code.co_name == "_autoflush":
            return _AUTOFLUSH
        if package in self._packages:
            return _TEST if self.is_test_file(filename) else _APPLICATION
        if call_sites.is_library(package, filename) or filename.startswith("<"):
            return _LIBRARY
        return _TEST if self.is_test_file(filename) else _APPLICATION


def _greenlet() -> Any:
    """Return the one that switched to the present one, if there are any."""
    module = sys.modules.get("greenlet")
    return module.getcurrent().parent if module is not None else None


# ------------------------------------------------------------- what the test gave to a session

_ARRANGED = "pgsandbox.arranged"


def arrange(session: Any, state: Any) -> None:
    """Remember that the test itself has added an object to *session*."""
    session.info.setdefault(_ARRANGED, []).append(state)


def has_arranged(session: Any) -> bool:
    """Whether *session* is about to write an object that the test itself has added to it."""
    states = session.info.get(_ARRANGED)
    if not states:
        return False
    states[:] = [each for each in states if each.pending]
    return bool(states)
