"""Files in a folder of another account's, opened so that nothing planted there is followed.

What the server's account may write, it may also replace by a link to what only root may read, at
any moment. So everything below is opened by a descriptor of the folder that it is in, without
following links, and used only if what is open then is that account's own: a link, a pipe, a device,
a file of anybody else's and a file with a second name are refused.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Planted(OSError):
    """Something stands there that the server did not make."""


@contextmanager
def opened_folder(folder: Path, uid: int) -> Iterator[int]:
    """A descriptor of *folder*, which belongs to *uid*. What is above it must be nobody else's.

    Raises OSError, which Planted is, if it is anything else.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _require_owner(fd, str(folder), uid)
        yield fd
    finally:
        os.close(fd)


@contextmanager
def folder_in(parent: int, name: str, uid: int) -> Iterator[int]:
    """A descriptor of the folder *name* in the open folder *parent*; as `opened_folder`."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, dir_fd=parent)
    try:
        _require_owner(fd, name, uid)
        yield fd
    finally:
        os.close(fd)


@contextmanager
def file_in(parent: int, name: str, uid: int, flags: int = os.O_RDONLY) -> Iterator[int]:
    """A descriptor of the regular file *name* in the open folder *parent*, with one name alone."""
    # Opening a pipe would wait for its other end.
    safe = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    fd = os.open(name, flags | safe, dir_fd=parent)
    try:
        status = _require_owner(fd, name, uid)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise Planted(f"{name} is no file of the server's alone")
        yield fd
    finally:
        os.close(fd)


def append(parent: int, name: str, uid: int, text: str) -> None:
    """Append *text* to the file *name* in the open folder *parent*."""
    with file_in(parent, name, uid, os.O_WRONLY | os.O_APPEND) as fd:
        said = text.encode()
        while said:
            said = said[os.write(fd, said) :]


def remove_below(parent: int, uid: int, endings: tuple[str, ...]) -> None:
    """Remove the files with these *endings* from each folder in the open folder *parent*."""
    for name in os.listdir(parent):
        with contextlib.suppress(NotADirectoryError), folder_in(parent, name, uid) as folder:
            for each in os.listdir(folder):  # noqa: PTH208 - of a descriptor, not of a path
                if each.endswith(endings):
                    os.unlink(each, dir_fd=folder)


def _require_owner(fd: int, name: str, uid: int) -> os.stat_result:
    status = os.fstat(fd)
    if status.st_uid != uid:
        raise Planted(f"{name} belongs to another user")
    return status
