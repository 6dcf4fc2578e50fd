"""The drivers' own ``connect``: what opens a database without asking SQLAlchemy.

Each driver has one function that all its ways to connect go through, and which it looks up in a
module whenever it connects. That function is wrapped, so that it does not matter what was imported
from the driver, or when:

=========  ==================================  ===================================================
driver     function                            what goes through it
=========  ==================================  ===================================================
psycopg2   ``psycopg2._connect``, which        ``connect``, ``psycopg2.pool``, every
           ``psycopg2._psycopg`` has           ``connection_factory``
psycopg    ``conninfo_attempts`` and its       ``connect`` of Connection, AsyncConnection and their
           async twin, then                    subclasses, ``psycopg_pool``
           ``psycopg.generators.connect``
asyncpg    ``asyncpg.connect_utils._connect``  ``connect``, ``create_pool``
=========  ==================================  ===================================================

A driver that is not imported yet is wrapped when it is, and so is one that is imported anew or
reloaded. Where a call goes is read as the driver reads it. What goes past these functions is C:
``psycopg2.extensions.connection(dsn)`` called as a class, and ``psycopg.pq.PGconn``.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from sqlalchemy.engine import URL

from pgsandbox import guard
from pgsandbox.sandbox import call_sites, rewriting
from pgsandbox.sandbox.rewriting import Destination

Watcher = Callable[[guard.Target, str], Destination | None]
"""Takes where a call goes and the driver's name; returns where it goes instead, or raises."""

_watchers: list[Watcher] = []
_leave: ContextVar[_Leave | None] = ContextVar("pgsandbox_leave", default=None)
_passed: ContextVar[frozenset[str]] = ContextVar("pgsandbox_passed", default=frozenset())
_ADMINISTRATION = "pgsandbox.servers.libpq"
"""The one module that calls a driver for pgsandbox's administrative work."""


def watch(watcher: Watcher) -> Callable[[], None]:
    """Ask *watcher* before any driver connects, until the returned function is called."""
    if not _watchers:
        sys.meta_path.insert(0, _LATECOMERS)
        for name in _WRAPPERS:
            if name in sys.modules:
                _wrap(sys.modules[name])
    _watchers.append(watcher)

    def stop() -> None:
        if watcher in _watchers:
            _watchers.remove(watcher)
        if not _watchers:
            with contextlib.suppress(ValueError):
                sys.meta_path.remove(_LATECOMERS)
            _unwrap()

    return stop


@dataclass(eq=False)
class _Leave:
    """What may be opened without being judged again: one place, while one engine connects."""

    place: tuple[str, ...]
    is_open: bool = True


@contextlib.contextmanager
def ours(given: Mapping[str, Any]) -> Iterator[None]:
    """Let a driver through that is called inside of the block with what is *given*.

    The application's code runs there, too: a ``connection_factory``, say. And a driver keeps the
    context for what it calls later (asyncpg its listeners), so that the leave has to end by itself.
    """
    leave = _Leave(_place(given))
    token = _leave.set(leave)
    try:
        yield
    finally:
        leave.is_open = False
        _leave.reset(token)


def _place(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    database = arguments.get("dbname") or arguments.get("database")
    return tuple(str(each) for each in (arguments.get("host"), arguments.get("port"), database))


def target_of_url(url: URL) -> guard.Target:
    """Return what a connection to *url* opens."""
    parameters: dict[str, Any] = {
        "host": url.host,
        "port": url.port,
        "dbname": url.database,
        "user": url.username,
        **url.query,
    }
    given = {name: value for name, value in parameters.items() if value is not None}
    return guard.target_of((), given, os.environ)


def target_of_call(
    driver: str, args: tuple[Any, ...], parameters: Mapping[str, Any]
) -> guard.Target:
    """Return what *driver* opens when it is called so, by its own reading of the arguments.

    Raises what the driver itself would raise, where it can't read them.
    """
    if driver != "asyncpg" and _TEXTS.isdisjoint(parameters):
        read = rewriting.from_text(args)
        args, parameters = (() if read else args), {**read, **parameters}
    said = guard.target_of(args, parameters, os.environ)
    return said if said.unknown or driver != "asyncpg" else _target_of_asyncpg(parameters, said)


_TEXTS = frozenset({"dsn", "conninfo"})


def _target_of_asyncpg(asked: Mapping[str, Any], said: guard.Target) -> guard.Target:
    """Read *asked* as asyncpg does, which differs from libpq, whose reading *said* is.

    The path of a URL goes before ``?dbname=``, and what ``server_settings`` holds is sent to the
    server beside the database's name (PostgreSQL manual, 54.7, StartupMessage).
    """
    addresses, parameters = _read_by_asyncpg(asked)
    settings = parameters.server_settings or {}
    if not rewriting.IDENTITY.isdisjoint(settings):
        return replace(said, unknown="server_settings names a database or a role of its own")
    host, port = said.host, said.port
    if len(addresses) == 1:
        (address,) = addresses
        host, port = address if isinstance(address, tuple) else _of_socket(address)
    elif host is not None:
        return replace(said, unknown="host has several values")
    return guard.Target(host, int(port), parameters.database, parameters.user)


def _read_by_asyncpg(asked: Mapping[str, Any]) -> Any:
    """Return asyncpg's own reading of *asked*: the addresses, and the parameters."""
    from asyncpg import connect_utils

    read = connect_utils._parse_connect_dsn_and_args
    names = inspect.signature(read).parameters
    return read(**{name: asked.get(name) for name in names})


def _of_socket(file: str) -> tuple[str, int]:
    directory, _, port = str(file).rpartition("/.s.PGSQL.")
    return directory, int(port)


def _ask(arguments: Mapping[str, Any], driver: str) -> Destination | None:
    __tracebackhide__ = True
    leave = _leave.get()
    if leave is not None and leave.is_open and leave.place == _place(arguments):
        return None
    if call_sites.caller_past(__name__, "psycopg2") == _ADMINISTRATION:
        return None
    target = target_of_call(driver, (), arguments)
    found = None
    for watcher in tuple(_watchers):
        found = watcher(target, driver) or found
    return found


_Wrapper = Callable[[Any], Any]


def _psycopg2(connect: Any) -> Any:
    from psycopg2 import ProgrammingError
    from psycopg2.extensions import make_dsn, parse_dsn

    def _connect(dsn: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        try:
            arguments = parse_dsn(dsn)  # libpq's own reading of it
        except ProgrammingError:
            return connect(dsn, *args, **kwargs)  # libpq refuses it itself
        to = _ask(arguments, "psycopg2")
        if to is not None:
            dsn = make_dsn(**rewriting.libpq(arguments, to))
        return connect(dsn, *args, **kwargs)

    return _connect


def _attempts(find: Any) -> Any:
    def conninfo_attempts(params: Any) -> Any:
        __tracebackhide__ = True
        return _pass(find(_instead(params)))

    return conninfo_attempts


def _attempts_async(find: Any) -> Any:
    async def conninfo_attempts_async(params: Any) -> Any:
        __tracebackhide__ = True
        return _pass(await find(_instead(params)))

    return conninfo_attempts_async


def _instead(params: Any) -> Any:
    __tracebackhide__ = True
    to = _ask(params, "psycopg")
    return params if to is None else rewriting.libpq(params, to)


def _pass(attempts: Any) -> Any:
    """Remember *attempts*: names were looked up in them, so that `allow` would not know them."""
    from psycopg.conninfo import make_conninfo

    found = list(attempts)
    _passed.set(frozenset(make_conninfo("", **each) for each in found))
    return found


def _generator(connect: Any) -> Any:
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    def _connect(conninfo: str, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if conninfo not in _passed.get():
            params = conninfo_to_dict(conninfo)
            to = _ask(params, "psycopg")
            if to is not None:
                conninfo = make_conninfo(**rewriting.libpq(params, to))
        return connect(conninfo, *args, **kwargs)

    return _connect


def _asyncpg(connect: Any) -> Any:
    async def _connect(**kwargs: Any) -> Any:
        __tracebackhide__ = True
        asked = {name: kwargs[name] for name in _DECIDE if name in kwargs}
        to = _ask(asked, "asyncpg")
        if to is not None:
            if kwargs.get("dsn"):  # its query sets parameters of the server, too
                kwargs["server_settings"] = _read_by_asyncpg(asked)[1].server_settings
            kwargs = {**dict.fromkeys(kwargs), **rewriting.asyncpg(kwargs, to)}
        return await connect(**kwargs)

    return _connect


_DECIDE = ("dsn", "host", "port", "user", "database", "service", "servicefile", "server_settings")
"""Those arguments of ``asyncpg.connect`` that say where it goes."""

_WRAPPERS: dict[str, tuple[str, _Wrapper]] = {
    "psycopg2": ("_connect", _psycopg2),
    "psycopg2._psycopg": ("_connect", _psycopg2),
    "psycopg.connection": ("conninfo_attempts", _attempts),
    "psycopg.connection_async": ("conninfo_attempts_async", _attempts_async),
    "psycopg.generators": ("connect", _generator),
    "asyncpg.connect_utils": ("_connect", _asyncpg),
}
"""For each module the function in it, and what makes the wrapper."""

_wrapped: list[tuple[ModuleType, Any, Any]] = []
"""Each module, its function and the wrapper; a driver that is imported anew is another module."""


def _wrap(module: ModuleType) -> None:
    name, make = _WRAPPERS[module.__name__]
    original = getattr(module, name, None)
    if original is None or any(original is wrapper for _, _, wrapper in _wrapped):
        return
    wrapper = make(original)
    _wrapped.append((module, original, wrapper))
    setattr(module, name, wrapper)


def _unwrap() -> None:
    for module, original, wrapper in _wrapped:
        name, _ = _WRAPPERS[module.__name__]
        if getattr(module, name, None) is wrapper:
            setattr(module, name, original)
    _wrapped.clear()


class _Latecomers(importlib.abc.MetaPathFinder):
    """Wraps a driver that is imported while connections are watched."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in _WRAPPERS:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next(filter(None, found), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _wrap(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


_LATECOMERS = _Latecomers()
