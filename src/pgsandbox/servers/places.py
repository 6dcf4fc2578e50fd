"""Where an embedded server's files stand: a cache folder that stays, a private folder that goes.

The private folder is short, because a Unix socket's path has at most 107 bytes (103 on macOS), and
the same for all processes of a user whatever TMPDIR says, because they share what is in it. It is
in memory where there is enough, since what is in it is not to be kept. It is in a folder that
everybody can write to, so it counts only if it belongs to this user and nobody else can write to
it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pgsandbox.errors import ConfigurationError, Fact, ServerDidNotStart
from pgsandbox.servers.file_locks import Lock
from pgsandbox.servers.spreading import spread
from pgsandbox.servers.standstill import Standstill, described, holder_of
from pgsandbox.servers.watchdog import remove_if_vacant

# sockaddr_un.sun_path, without the final NUL (unix(7)).
_LONGEST_SOCKET_PATH = 103 if sys.platform == "darwin" else 107
# The longest path below the private folder: /<key>-<serial>/run/.s.PGSQL.<port>
_BELOW_THE_FOLDER = len("/0123456789-abcdef/run/.s.PGSQL.65535")
_MEMORY = "/dev/shm"  # noqa: S108 - as _SHORT
# What a machine's shared memory has to have, in all and free: a server takes 80 MB, and each copy
# of a small database 8 MB. Containers have 64 MB of it unless they ask for more.
_LEAST_MEMORY, _LEAST_FREE = 1_000_000_000, 500_000_000
_SHORT = "/tmp"  # noqa: S108 - short, and nothing in it is trusted before its owner is known
_PAUSE = 0.25
_WORTH_TELLING = 2.0

VARIABLE = "PGSANDBOX_RUNDIR"
"""Names another folder for sockets and data than the usual ones."""

# Where root starts it, the server is another user, who must get through to its own folders.
_CACHE_MODE = 0o755 if os.geteuid() == 0 else 0o700
_PRIVATE_MODE = 0o711 if os.geteuid() == 0 else 0o700


def cache_folder(asked: Path | None) -> Path:
    """A folder of this user's own for what is worth keeping between servers.

    *asked* if given; else ``$XDG_CACHE_HOME/pgsandbox``; else ``/var/cache/pgsandbox`` for root and
    ``~/.cache/pgsandbox`` for others; else, where no home can be written to, one in a temporary
    folder. Raises ServerDidNotStart if none can be used, with the reason for each.
    """
    refused = []
    for folder in [asked] if asked else _cache_candidates():
        reason = _own(folder, _CACHE_MODE, trusted=asked is not None)
        if reason is None:
            return folder.resolve()
        refused.append(Fact("refused", str(folder), reason))
    raise ServerDidNotStart(
        "There is no folder to keep the embedded server's programs and pristine data in.",
        facts=refused,
        remedy="Set XDG_CACHE_HOME to a folder that you can write to.",
    )


@contextmanager
def private_folder(waits: list[str] | None = None) -> Iterator[Path]:
    """The folder of this user's running servers, for as long as nobody else starts or joins one.

    Its ``lock`` file admits one process at a time. One that does nothing with it for 12 seconds is
    left alone, with its folder, and the next place is taken. *waits* gets a clause about each that
    was waited for for longer than 2 seconds. Raises ServerDidNotStart if there is no place.
    """
    lock = _entrance([] if waits is None else waits)
    try:
        yield lock.path.parent
    finally:
        remove_if_vacant(lock.path.parent)
        lock.close()


def free_megabytes(path: Path) -> int:
    """How much room there is where *path* is or would be."""
    existing = next(place for place in (path, *path.parents) if place.exists())
    return shutil.disk_usage(existing).free // 1_000_000


def _cache_candidates() -> list[Path]:
    candidates = []
    if os.environ.get("XDG_CACHE_HOME", "").startswith("/"):
        candidates.append(Path(os.environ["XDG_CACHE_HOME"]))
    if os.geteuid() == 0:
        candidates.append(Path("/var/cache"))
    elif home := _home():
        candidates.append(home / ".cache")
    folders = [candidate / "pgsandbox" for candidate in candidates]
    return [*folders, *(base / f"pgsandbox-cache-{os.geteuid()}" for base in _temporary())]


def _home() -> Path | None:
    home = os.environ.get("HOME", "")
    if not home:
        with contextlib.suppress(KeyError):
            home = pwd.getpwuid(os.geteuid()).pw_dir
    # Only one that exists: creating /nonexistent for `nobody` would be no kindness.
    return Path(home) if home.startswith("/") and Path(home).is_dir() else None


def _temporary() -> list[Path]:
    """The folder that TMPDIR names, or that Python finds; none where nothing can be written."""
    try:
        return [Path(tempfile.gettempdir())]
    except FileNotFoundError:
        return []


def _entrance(waits: list[str]) -> Lock:
    """The lock file of the first usable private folder, locked; *waits* as of `private_folder`."""
    refused = []
    for base in dict.fromkeys(bases()):
        folder = base / f"pgsandbox-{os.geteuid()}"
        if _unfit(str(folder)):
            refused.append(Fact("refused", str(folder), str(_unfit(str(folder)))))
            continue
        if len(os.fsencode(folder)) + _BELOW_THE_FOLDER > _LONGEST_SOCKET_PATH:
            refused.append(Fact("refused", str(folder), "too long for a socket below it"))
            continue
        reason = _own(folder, _PRIVATE_MODE)
        if reason is None:
            try:
                return _locked(folder, waits)
            except OSError as error:
                reason = f"no lock: {error.strerror or error}"
        refused.append(Fact("refused", str(folder), reason))
    raise ServerDidNotStart(
        "There is no folder to put the embedded server's socket and data in.",
        facts=refused,
        remedy=f"Make /tmp writable, remove what stands in the way there, or set {VARIABLE}. A "
        "process that is named here may be stopped: let it go on (kill -CONT), or end it.",
    )


def bases() -> list[Path]:
    """Where the private folder may be: where somebody says, in memory, in /tmp, elsewhere.

    A copy of a database is some 230 small files, made and removed. In memory that takes a third of
    the time that it takes on ext4, which passes over what was freed lately (`spreading`).
    """
    asked = os.environ.get(VARIABLE, "").strip()
    if not asked:
        return [*_memory(), Path(_SHORT), *_temporary()]
    why = _unfit(asked)
    if why is None:
        return [Path(asked)]
    raise ConfigurationError(
        f"{VARIABLE} names no directory that a server's socket can be in: {why}.",
        facts=[Fact("value", asked, VARIABLE)],
        remedy="Name another directory, by its absolute path, or unset the variable.",
    )


def _unfit(asked: str) -> str | None:
    """Why PostgreSQL or libpq would read *asked* as something else than one directory."""
    if not asked.startswith("/"):
        return "its path is not absolute"
    # Both take lists of directories, between commas and in quotes (manual, 20.3.1 and 34.1.1).
    if found := next((each for each in ',"\\' if each in asked), None):
        return f"there is a {found} in its path"
    return None if asked.isprintable() else "its path has letters that can't be printed"


def _memory() -> list[Path]:
    """The machine's shared memory, if it has room and lets programs be run from there."""
    with contextlib.suppress(OSError):
        usage, flags = shutil.disk_usage(_MEMORY), os.statvfs(_MEMORY).f_flag
        if usage.total >= _LEAST_MEMORY and usage.free >= _LEAST_FREE and not flags & os.ST_NOEXEC:
            return [Path(_MEMORY)]
    return []


def _locked(folder: Path, waits: list[str]) -> Lock:
    while True:
        try:
            lock = Lock(folder / "lock", create=True)
        except FileNotFoundError:  # the last server of the folder has just taken it away
            _make(folder, _PRIVATE_MODE)
            continue
        wait, pid = Standstill(), None
        while not lock.take_within(_PAUSE):
            pid = holder_of(lock.fd)
            if wait.has_come(pid):
                lock.close()
                waits.append(
                    f"after {wait.waited:.0f} s without {folder}, held by {described(pid)}"
                )
                raise TimeoutError(
                    f"after {wait.waited:.0f} s another process is still starting a server there "
                    f"({described(pid)})"
                )
        if wait.waited > _WORTH_TELLING:
            waits.append(f"after {wait.waited:.0f} s for {folder}, held by {described(pid)}")
        if lock.is_current():
            return lock
        lock.close()


def _own(folder: Path, mode: int, *, trusted: bool = False) -> str | None:
    """Make *folder* if it is missing; return why it can't be used, or None if it can.

    A *trusted* folder, which somebody named, may belong to another user.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _make(folder, mode)
        status = folder.stat() if trusted else folder.lstat()
    except OSError as error:
        return error.strerror or str(error)
    if not stat.S_ISDIR(status.st_mode):
        return "not a folder"
    if not trusted and status.st_uid != os.geteuid():
        return "belongs to another user"
    if not trusted and (writable := _writable_to_others(folder, status)):
        return f"others can write to {writable}"
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return "not writable"
    return None


def _writable_to_others(folder: Path, status: os.stat_result) -> Path | None:
    """*folder* itself, or for root one above where somebody could put another one in its place.

    Where only owners may rename, as in /tmp, it may be everybody's to write (the sticky bit).
    """
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return folder
    if os.geteuid() != 0:
        return None
    for above in folder.absolute().parents:
        status = above.stat()
        if status.st_uid != 0:
            return above
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX:
            return above
    return None


def _make(folder: Path, mode: int) -> None:
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=mode)
        folder.chmod(mode)  # whatever the umask made of it
        spread(folder)
