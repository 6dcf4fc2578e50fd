"""A server of our own: real PostgreSQL, started when somebody needs it, gone when nobody does.

All runs and workers of one user on a machine share it, as long as they use the same programs and
the same version of pgsandbox. It speaks through a Unix socket that only this user can reach, and
forgets everything when the last process that uses it ends, however that process ends.

A child made by ``fork`` does not count as a user of its parent's server, so that one which outlives
the run does not keep it up; if it calls `embedded` itself, it does.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from contextlib import closing
from pathlib import Path

import psycopg2

from pgsandbox.errors import BinariesNotFound, Fact, LoginRefused, ServerDidNotStart
from pgsandbox.guard import masked
from pgsandbox.servers import libpq
from pgsandbox.servers.server import Server

if sys.platform != "win32":  # neither flock nor fork nor Unix accounts exist there
    from pgsandbox.servers import account, data_directory, instance, places
    from pgsandbox.servers.binaries import Binaries, find, settle
    from pgsandbox.servers.spreading import spread

_OF_LIBPQ = re.compile(r"PG[A-Z]+$")
"""The names of libpq's variables (manual, 34.15); ours have an underscore."""


def embedded(*, reason: str, cache: Path | None = None, binaries: Path | None = None) -> Server:
    """A running server of our own: joined if this user has one, started otherwise.

    *binaries* is the folder of PostgreSQL's programs; without it, PGSANDBOX_BINDIR, the wheel of
    the ``embedded`` extra and this machine are asked in turn. *cache* replaces the usual cache
    folder; servers with different ones are not shared. The server's reason is *reason*, and whom
    this process has waited for, where that took long. Raises BinariesNotFound, ServerDidNotStart,
    or LoginRefused if libpq finds no way in, as by a variable of the environment.
    """
    if sys.platform == "win32":
        raise BinariesNotFound(
            "An embedded server needs Linux or macOS.",
            facts=[Fact("platform", sys.platform)],
            remedy="On Windows, set TEST_DATABASE_URL to the URL of a server.",
        )
    found = find(binaries)
    folder = places.cache_folder(cache)
    waits: list[str] = []
    with places.private_folder(waits) as private:
        hold = _join_or_launch(private, found, folder)
    return _server(hold, "; ".join((reason, *map(masked, waits))))


def _server(hold: instance.Hold, reason: str) -> Server:
    try:
        opened = libpq.connect(hold.instance.url)
    except psycopg2.Error as error:
        hold.end()
        raise _refused(hold.instance, error) from error
    with closing(opened) as connection:
        version = connection.server_version
        version_text = (connection.get_parameter_status("server_version") or "").split(" ")[0]
    return Server("embedded", hold.instance.url, reason, version, version_text, use=hold)


def _refused(server: instance.Instance, error: psycopg2.Error) -> LoginRefused:
    names = sorted(name for name in os.environ if _OF_LIBPQ.match(name))
    variables = ", ".join(names)
    return LoginRefused(
        "The embedded server runs, and libpq could not log in to it.",
        facts=[
            Fact("folder", str(server.folder)),
            Fact("libpq said", masked(str(error).strip())),
            *([Fact("variables", variables, "the environment")] if names else []),
        ],
        remedy="libpq takes these variables for what it connects to, and they do not go with this "
        "server: unset the one of which it speaks, or correct it."
        if names
        else "Look at the load of the machine, and start the run again.",
    )


def running(*, reason: str, cache: Path | None = None) -> Server | None:
    """The embedded server that this user's runs share, if it runs; none is started.

    What servers that died could not clear up is removed. Raises as `embedded` does.
    """
    if sys.platform == "win32":
        return None
    found, folder = find(None), places.cache_folder(cache)
    with places.private_folder() as private:
        instance.clear_dead(private)
        hold = instance.join(private, key_of(found, folder))
    return _server(hold, reason) if hold is not None else None


def launch(
    private: Path,
    key: str,
    found: Binaries,
    cache: Path,
    *,
    port: int = 5432,
    arguments: tuple[str, ...] = (),
) -> instance.Hold:
    """Start a server in the folder *private*, whose lock the caller holds, and use it.

    If it does not start from the pristine data in *cache*, that is made anew, once. Raises
    ServerDidNotStart.
    """
    owner = account.of_the_server()
    directory = data_directory.DataDirectory(found)
    was_cached = False

    def lay_data(new: instance.Instance, keep: int) -> Path:
        nonlocal was_cached
        programs = settle(found, cache, new.folder / "programs", owner)
        was_cached = data_directory.create(
            directory, new.data, programs=programs, cache=cache, account=owner, keep=keep
        )
        spread(new.data / "base")  # each database is a folder there
        return programs

    try:
        return instance.launch(private, key, owner, lay_data, port=port, arguments=arguments)
    except ServerDidNotStart:
        if not was_cached:
            raise
        data_directory.discard(directory, cache)
        return instance.launch(private, key, owner, lay_data, port=port, arguments=arguments)
    except OSError as error:
        raise ServerDidNotStart(
            f"The embedded server could not be prepared: {error.strerror or error}.",
            facts=[
                Fact("in", str(private), f"{places.free_megabytes(private)} MB free"),
                Fact("cache", str(cache)),
                Fact("system said", str(error)),
            ],
            remedy="Give it room (about 100 MB), or give a server's URL.",
        ) from error


def key_of(found: Binaries, cache: Path) -> str:
    """Ten letters that are the same for all processes that may share a server."""
    identity = f"{data_directory.DataDirectory(found).identity}\n{cache}"
    return hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:10]


def _join_or_launch(private: Path, found: Binaries, cache: Path) -> instance.Hold:
    instance.clear_dead(private)
    key = key_of(found, cache)
    return instance.join(private, key) or launch(private, key, found, cache)
