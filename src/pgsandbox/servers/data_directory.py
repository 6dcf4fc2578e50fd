"""A data directory as initdb leaves it, made once on a machine and copied for each server.

Nothing in it is worth keeping through the machine's crash, so nothing is synced, logged twice or
vacuumed; through that of one of the server's processes it is all kept. Nothing in it depends on the
machine's locale or on the size of /dev/shm.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pgsandbox.errors import Fact, ServerDidNotStart
from pgsandbox.servers import closed_folders, places, trees
from pgsandbox.servers.account import Account
from pgsandbox.servers.binaries import Binaries
from pgsandbox.servers.standstill import Standstill

SUPERUSER = "postgres"
_PAUSE = 0.25

SETTINGS = """
# --- pgsandbox: a server for tests ---
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 200
max_prepared_transactions = 20
max_locks_per_transaction = 256

# Nothing waits for the disk: after a crash of the machine the server is thrown away.
fsync = off
full_page_writes = off
# A commit writes its log to the system. Where a process of the server is killed, all others are
# restarted, and what was in their memory only is lost (manual, Asynchronous Commit).
synchronous_commit = on
# Each commit is logged with its database, and kept for as long as a test may ask for it.
wal_level = replica
wal_keep_size = 64MB
max_wal_senders = 0
max_logical_replication_workers = 0
max_wal_size = 256MB
min_wal_size = 32MB
checkpoint_timeout = 1h

# Nobody at work but the tests: a worker in a template would stop it from being cloned.
autovacuum = off
jit = off

# Works where /dev/shm is a few megabytes, as in containers.
shared_buffers = 128MB
dynamic_shared_memory_type = mmap
huge_pages = off

timezone = 'UTC'
log_timezone = 'UTC'
# LOG and worse; the ERRORs that tests provoke on purpose are left out.
log_min_messages = log
log_checkpoints = off
"""
_SETTINGS_OF_18 = "io_method = sync\n"

# The first major versions that have a feature.
_SETTINGS_FOR_INITDB = 16
_BUILTIN_LOCALES = 17
_CHECKSUMS_BY_DEFAULT = _IO_METHODS = 18

_OPTIONS = (
    f"--username={SUPERUSER}",
    "--auth=trust",  # for the socket below, in a folder that only its owner can enter
    "--encoding=UTF8",
    "--text-search-config=english",
    "--wal-segsize=1",
    "--no-sync",
    "--no-instructions",
)


# A quarter of all files. Creating files is what the copy for a new server costs, and every CREATE
# DATABASE, too. The server takes a missing one for empty (visibilitymap.c, freespace/README).
_MADE_ANEW_ON_DEMAND = ("_fsm", "_vm")


@dataclass(frozen=True)
class DataDirectory:
    """How to make pristine data: with which programs, options and settings."""

    binaries: Binaries
    """The programs; they are named here for their version and identity."""

    @property
    def settings(self) -> str:
        """What is appended to postgresql.conf."""
        return SETTINGS + (_SETTINGS_OF_18 if self.binaries.major >= _IO_METHODS else "")

    @property
    def identity(self) -> str:
        """Ten letters that differ where the data would differ."""
        parts = self.binaries.identity, self.settings, *_OPTIONS, *_MADE_ANEW_ON_DEMAND
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:10]

    def options(self) -> Iterator[tuple[str, ...]]:
        """The options of initdb, first choice first: not every system has the locale C.UTF-8."""
        options: tuple[str, ...] = _OPTIONS
        if self.binaries.major >= _SETTINGS_FOR_INITDB:
            # initdb runs a server, too, and gives it a megabyte of /dev/shm if it can.
            options = (*options, "--set=dynamic_shared_memory_type=mmap")
        if self.binaries.major >= _CHECKSUMS_BY_DEFAULT:
            options = (*options, "--no-data-checksums")
        yield (*options, "--locale=C.UTF-8")
        if self.binaries.major >= _BUILTIN_LOCALES:
            provider = "--locale-provider=builtin", "--builtin-locale=C.UTF-8"
            yield (*options, "--locale=C", *provider)
        yield (*options, "--locale=C")


def create(
    directory: DataDirectory,
    target: Path,
    *,
    programs: Path,
    cache: Path,
    account: Account,
    keep: int,
) -> bool:
    """Create a data directory at *target*, and return whether it was copied from *cache*.

    *keep* is a file descriptor that initdb inherits, so that its lock outlives us if we are killed.
    Raises ServerDidNotStart if initdb fails, OSError if the disk is full.

    *target* is in a folder of the server's account. So a copy is made beside that folder, where
    only we can write, and moved in when it is whole; and of what initdb made there, nothing is
    read or written through a link (`closed_folders`).
    """
    folder = _cached(directory, cache)
    entry = trees.find(folder)
    if entry is not None:
        tree, count = entry
        beside = target.parent.with_name("data")
        try:
            if trees.copy_data(tree, beside, owner=account) == count:
                beside.rename(target)
                return True
        except FileNotFoundError:
            pass  # discarded by another run while we copied
        trees.discard(folder)
        shutil.rmtree(beside, ignore_errors=True)
    _initialise(directory, target, programs=programs, account=account, keep=keep)
    # A cache that can't be written to costs the next start its time, and no more.
    with contextlib.suppress(OSError):
        trees.publish(folder, lambda tree: trees.copy_data(target, tree, of=account.uid))
    return False


def discard(directory: DataDirectory, cache: Path) -> None:
    """Forget the pristine data in *cache*: a server did not start from it."""
    trees.discard(_cached(directory, cache))


def environment() -> dict[str, str]:
    """The environment of PostgreSQL's programs: English, UTC, and nothing that points elsewhere."""
    wanted = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")
    kept = {name: os.environ[name] for name in wanted if name in os.environ}
    # With a valid TZ initdb need not compare the system's time zone to every file of its own.
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _cached(directory: DataDirectory, cache: Path) -> Path:
    return cache / f"data-{directory.identity}"


def _initialise(
    directory: DataDirectory, target: Path, *, programs: Path, account: Account, keep: int
) -> None:
    said = ""
    for options in directory.options():
        command = [str(programs / "initdb"), f"--pgdata={target}", *options]
        try:
            code, printed = _run(command, keep, account)
        except (OSError, subprocess.SubprocessError) as error:
            raise _not_initialised(directory, target, str(error)) from error
        if code == 0:
            with closed_folders.opened_folder(target, account.uid) as data:
                closed_folders.append(data, "postgresql.conf", account.uid, directory.settings)
                with closed_folders.folder_in(data, "base", account.uid) as base:
                    closed_folders.remove_below(base, account.uid, _MADE_ANEW_ON_DEMAND)
            return
        said = printed.strip()
        if "invalid locale" not in said:
            break
    raise _not_initialised(directory, target, said)


def _run(command: list[str], keep: int, account: Account) -> tuple[int, str]:
    """The exit code of *command*, and what it printed.

    Raises subprocess.TimeoutExpired, and ends it, if it stands still.
    """
    process = subprocess.Popen(
        command,
        env=environment(),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=[keep],
        **account.popen_arguments(),
    )
    with process:
        wait = Standstill()
        while True:
            try:
                printed, _ = process.communicate(timeout=_PAUSE)
                return process.returncode, printed
            except subprocess.TimeoutExpired:
                if wait.has_come(process.pid):
                    process.kill()
                    raise subprocess.TimeoutExpired(command[0], round(wait.waited)) from None
            except BaseException:
                process.kill()
                raise


def _not_initialised(directory: DataDirectory, target: Path, said: str) -> ServerDidNotStart:
    return ServerDidNotStart(
        "initdb could not make a data directory for the embedded server.",
        facts=[
            Fact("folder", str(target), f"{places.free_megabytes(target)} MB free"),
            Fact("programs", directory.binaries.banner, directory.binaries.origin),
            Fact("initdb said", "\n".join(said.splitlines()[-6:])),
        ],
        remedy="If its own words do not tell what to do, give a server's URL instead.",
    )
