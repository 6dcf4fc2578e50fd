"""Bytes that wait to be sent, in memory up to a limit and on disk beyond it."""

from __future__ import annotations

import tempfile
from collections import deque
from typing import IO

_IN_MEMORY = 16 * 1024 * 1024
_CHUNK = 1024 * 1024


class Spool:
    """A queue of bytes: what was put in first comes out first."""

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._held = 0
        self._file: IO[bytes] | None = None
        self._read = self._written = 0
        """Where reading and writing stand in the file."""

    def __len__(self) -> int:
        """Return how many bytes wait."""
        return self._held + self._written - self._read

    def put(self, data: bytes) -> None:
        """Append *data*."""
        if self._file is None and self._held + len(data) > _IN_MEMORY:
            self._file = tempfile.TemporaryFile(prefix="pgsandbox-")  # noqa: SIM115 - until `close`
        if self._file is None:
            self._parts.append(data)
            self._held += len(data)
        else:
            self._file.seek(self._written)
            self._file.write(data)
            self._written += len(data)

    def first(self) -> bytes:
        """Return some of what comes next; empty if nothing waits."""
        if not self._parts and self._file is not None and self._read < self._written:
            self._file.seek(self._read)
            data = self._file.read(_CHUNK)
            self._read += len(data)
            self._parts.append(data)
            self._held += len(data)
        return self._parts[0] if self._parts else b""

    def drop(self, count: int) -> None:
        """Remove *count* bytes of what `first` returned."""
        part = self._parts.popleft()
        self._held -= count
        if count < len(part):
            self._parts.appendleft(part[count:])
        elif not len(self):
            self.close()

    def close(self) -> None:
        """Drop everything."""
        if self._file is not None:
            self._file.close()
        self._file = None
        self._parts.clear()
        self._held = self._read = self._written = 0
