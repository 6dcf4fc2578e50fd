"""Folders whose subfolders ext4 puts far from each other, where creating files stays quick.

ext4 puts a new file near its folder and passes over inodes that were freed in the last minutes, one
by one (``recently_deleted`` in the kernel's fs/ext4/ialloc.c). Servers and databases that come and
go by the minute free thousands, and creating a file there takes 0.6 ms instead of 0.02. Below a
folder that is marked as the top of unrelated hierarchies, each subfolder starts in an area of its
own (chattr(1), attribute T).
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import struct
import sys
from pathlib import Path

_FS_TOPDIR_FL = 0x0002_0000


def spread(folder: Path) -> None:
    """Have new subfolders of *folder* put far from each other, where the file system can do that.

    Elsewhere it changes nothing: file systems other than ext4 have other ways.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            flags = array.array("i", [0, 0])  # declared as a long, used as an int (ioctl_iflags(2))
            fcntl.ioctl(fd, _request(2, 1), flags)
            flags[0] |= _FS_TOPDIR_FL
            fcntl.ioctl(fd, _request(1, 2), flags)
        finally:
            os.close(fd)


def _request(direction: int, number: int) -> int:
    """FS_IOC_GETFLAGS or FS_IOC_SETFLAGS, as <linux/fs.h> makes them of ``'f'`` and a long."""
    return direction << 30 | struct.calcsize("l") << 16 | ord("f") << 8 | number
