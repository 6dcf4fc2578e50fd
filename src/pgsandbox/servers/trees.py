"""Folders copied whole: programs and pristine data, kept in the cache and counted.

An entry of the cache appears complete or not at all, by rename. A machine that lost power may have
kept the name and lost the contents, since nothing here is synced; so each entry carries the number
of its files and bytes, and one that does not add up is no entry.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pgsandbox.servers import closed_folders
from pgsandbox.servers.account import Account
from pgsandbox.servers.file_locks import Lock

_CHUNK = 1 << 20
_COUNT = "count"
_TREE = "tree"
_UNFINISHED = "new-"
_LIMIT_OF_WAITING = 12.0

# What an installation holds for compilers and readers, and a running server never opens.
_NOT_TO_RUN = ("*.a", "*.bc", "bitcode", "doc", "locale", "man", "pgxs", "pkgconfig")


@dataclass(frozen=True)
class Count:
    """How much there is in a folder."""

    files: int = 0
    """Number of files."""
    size: int = 0
    """Their bytes."""

    def __add__(self, other: Count) -> Count:
        """Both together."""
        return Count(self.files + other.files, self.size + other.size)


def copy_data(
    source: Path, target: Path, *, owner: Account | None = None, of: int | None = None
) -> Count:
    """Copy the folder *source* to *target*, readable to nobody but its *owner* (by default, us).

    Everything in *source* must belong to the user *of* (by default, us), and no link is followed:
    the folder may be another account's to write (`closed_folders`). Nobody else may write to what
    is above *target*.
    """
    uid = os.geteuid() if of is None else of
    with closed_folders.opened_folder(source, uid) as folder:
        return _copy_closed(folder, target, uid, _private(owner))


def copy_programs(source: Path, target: Path) -> Count:
    """Copy the file or folder *source* to *target*, for everybody to read and run."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return _copy(source, target, _public, _NOT_TO_RUN)


def find(folder: Path) -> tuple[Path, Count] | None:
    """The tree of the cache entry *folder* and what must be in it, or None if there is no entry."""
    try:
        files, size = map(int, (folder / _COUNT).read_text().split())
    except (OSError, ValueError):
        return None
    return folder / _TREE, Count(files, size)


def counted(tree: Path) -> Count:
    """How much there is in *tree*."""
    sizes = [path.stat().st_size for path in tree.rglob("*") if path.is_file()]
    return Count(len(sizes), sum(sizes))


def publish(folder: Path, fill: Callable[[Path], Count]) -> None:
    """Make the cache entry *folder* of the tree that *fill* makes, whoever else tries the same.

    What killed processes left half done is removed on the way. Raises OSError, of a full disk for
    example; then there is no entry and nothing half done.
    """
    lock = Lock(folder.parent / "lock", create=True)
    try:
        if not lock.take_within(_LIMIT_OF_WAITING):
            raise TimeoutError(f"{lock.path} is held by another process")
        for left_over in folder.parent.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left_over, ignore_errors=True)
        if find(folder) is not None:
            return
        shutil.rmtree(folder, ignore_errors=True)
        _publish(folder, fill)
    finally:
        lock.close()


def discard(folder: Path) -> None:
    """Remove the cache entry *folder*, if there is one."""
    with contextlib.suppress(OSError):
        (folder / _COUNT).unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _publish(folder: Path, fill: Callable[[Path], Count]) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder.parent))
    try:
        count = fill(unfinished / _TREE)
        (unfinished / _COUNT).write_text(f"{count.files} {count.size}")
        unfinished.chmod(0o755)  # the cache folder above decides who gets here
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _copy(
    source: Path, target: Path, finish: Callable[[int, bool], None], without: tuple[str, ...] = ()
) -> Count:
    """Copy *source* to *target*; *finish* sets owner and mode of each copy while it is open."""
    if not source.is_dir():
        return Count(1, _copy_file(source, target, finish))
    target.mkdir(mode=0o700)
    count = Count()
    for entry in source.iterdir():
        if not any(fnmatch.fnmatch(entry.name, pattern) for pattern in without):
            count += _copy(entry, target / entry.name, finish, without)
    _finish_folder(target, finish)
    return count


def _copy_closed(source: int, target: Path, uid: int, finish: Callable[[int, bool], None]) -> Count:
    """Like `_copy`, of the open folder *source*, in which everything belongs to *uid*."""
    target.mkdir(mode=0o700)
    count = Count()
    with os.scandir(source) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if is_folder:
            with closed_folders.folder_in(source, name, uid) as below:
                count += _copy_closed(below, target / name, uid, finish)
        else:
            with closed_folders.file_in(source, name, uid) as reading:
                count += Count(1, _copy_open(reading, target / name, finish))
    _finish_folder(target, finish)
    return count


def _copy_file(source: Path, target: Path, finish: Callable[[int, bool], None]) -> int:
    with source.open("rb", buffering=0) as reading:
        return _copy_open(reading.fileno(), target, finish)


def _copy_open(reading: int, target: Path, finish: Callable[[int, bool], None]) -> int:
    size = 0
    writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        while chunk := os.read(reading, _CHUNK):
            size += len(chunk)
            while chunk:
                chunk = chunk[os.write(writing, chunk) :]
        finish(writing, bool(os.fstat(reading).st_mode & 0o111))
    finally:
        os.close(writing)
    return size


def _finish_folder(target: Path, finish: Callable[[int, bool], None]) -> None:
    folder = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        finish(folder, True)
    finally:
        os.close(folder)


def _public(fd: int, is_runnable: bool) -> None:
    os.fchmod(fd, 0o755 if is_runnable else 0o644)


def _private(owner: Account | None) -> Callable[[int, bool], None]:
    def finish(fd: int, _is_runnable: bool) -> None:
        if owner is not None and owner.is_other:
            os.fchown(fd, owner.uid, owner.gid)

    return finish
