"""Where in the caller's own code something happened: an engine was made, a connection was opened.

An engine's place is noted by ``Dialect.engine_created``, the hook by which SQLAlchemy tells a
dialect of each new engine. Engines from before that are known by the place of their first use.
"""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any

from sqlalchemy.engine import Dialect, Engine

_LIBRARIES = frozenset(
    {
        "pgsandbox",
        "sqlalchemy",
        "flask_sqlalchemy",
        "werkzeug",
        "flask",
        "factory",
        "contextlib",
        "functools",
        "threading",
        "greenlet",
        "concurrent",
        "alembic",
        "asyncio",
        "asyncpg",
        "psycopg",
        "psycopg2",
        "psycopg_pool",
        "socket",
        "ssl",
        "http",
        "urllib",
        "urllib3",
        "requests",
        "httpcore",
        "httpx",
        "anyio",
        "starlette",
        "fastapi",
    }
)


_INSTALLED = tuple(
    {sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_OF_A_LIBRARY = " of a library"
_RUNNERS = frozenset({"_pytest", "pluggy"})
"""Outwards from these there is no test any more, only the program that was started."""


def place() -> str:
    """Return the place in the caller's own code, past the libraries in between.

    Where none of the caller's own code is on the way, it is the place in the library that is least
    likely to be known: not SQLAlchemy's, not a driver's, not a web framework's.
    """
    library = None
    for frame in frames():
        if is_of_a_runner(frame):
            break
        package = _package_of(frame)
        if package in _LIBRARIES:
            continue
        if not is_installed(frame.f_code.co_filename):
            return _shown(frame)
        library = library or frame
    if library is not None:
        return _shown(library)
    thread = threading.current_thread()
    is_main = thread is threading.main_thread()
    return "an unknown place" if is_main else f'the thread "{thread.name}"{_OF_A_LIBRARY}'


def is_of_a_runner(frame: Any) -> bool:
    """Whether *frame* is pytest's, so that no test's own code is further outwards."""
    return _package_of(frame) in _RUNNERS


def is_of_a_library(place: str) -> bool:
    """Whether *place* is a thread in which nothing but libraries is at work: a pool's, say."""
    return place.endswith(_OF_A_LIBRARY)


def is_own(filename: str) -> bool:
    """Whether the file is the caller's own code, and no library's."""
    return not is_installed(filename)


def is_library(package: str, filename: str) -> bool:
    """Whether code of *package* is none of the caller's own."""
    return package in _LIBRARIES or is_installed(filename)


def is_named_as_test(filename: str) -> bool:
    """Whether the file's name is one that pytest looks for: a test's, or a conftest's."""
    stem = PurePath(filename).stem
    return stem == "conftest" or stem.startswith("test_") or stem.endswith("_test")


@functools.cache
def is_installed(filename: str) -> bool:
    """Whether the file is a library's."""
    return filename.startswith(("<frozen", *_INSTALLED))


def _shown(frame: Any) -> str:
    line = frame.f_lineno
    template = frame.f_globals.get("__jinja_template__")
    if template is not None:  # what runs is Python that Jinja has made of it
        line = template.get_corresponding_lineno(line)
    return f"{relative(frame.f_code.co_filename)}:{line}"


@functools.cache
def relative(filename: str) -> str:
    """Return *filename* as seen from the folder in which it was asked for first.

    It is kept because a thread that makes a system call again and again lets no other thread run:
    Python takes the interpreter only from a thread that has held it for 5 ms without a break.
    """
    return os.path.relpath(filename)


def frames() -> Iterator[Any]:
    """Yield the callers' frames, outwards; past a greenlet's, those of whoever switched to it.

    SQLAlchemy runs its synchronous code below an async engine in a greenlet.
    """
    frame: Any = sys._getframe(2)
    module = sys.modules.get("greenlet")
    current = module.getcurrent() if module is not None else None
    while frame is not None:
        while frame is not None:
            yield frame
            frame = frame.f_back
        current = current.parent if current is not None else None
        frame = current.gr_frame if current is not None else None


def caller_past(*modules: str) -> str:
    """Return the name of the module that called, past *modules*."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__") in modules:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", ""))


def _package_of(frame: Any) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


# ---------------------------------------------------------------------------------- engines

_places: weakref.WeakKeyDictionary[Dialect, str] = weakref.WeakKeyDictionary()
_watchers: list[object] = []
_ORIGINAL = Dialect.__dict__["engine_created"]


def of_engine(dialect: Dialect) -> str | None:
    """Return where the engine of *dialect* was made; None if nobody watched then."""
    return _places.get(dialect)


def watch_engines() -> Callable[[], None]:
    """Note the place of every engine that is made, until the returned function is called."""
    watcher = object()
    _watchers.append(watcher)
    Dialect.engine_created = classmethod(_engine_created)  # type: ignore[assignment,method-assign]

    def stop() -> None:
        if watcher in _watchers:
            _watchers.remove(watcher)
        if not _watchers:
            Dialect.engine_created = _ORIGINAL  # type: ignore[method-assign]

    return stop


def _engine_created(_: type[Dialect], engine: Engine) -> None:
    _places.setdefault(engine.dialect, place())
