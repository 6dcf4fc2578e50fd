"""What tells that a database is ours where its mark was overwritten: a number in its catalog row.

The mark is a comment, and a migration may have a comment of its own to write (``COMMENT ON
DATABASE``). So the connection limit of a marked database is no limit, but a digest of what the mark
says: the database's name, its oid, the server, and whether somebody keeps it. Nobody sets a limit
of that size by accident (``max_connections`` ends at 262,143), and a copy, a restored dump or a
renamed database has another name, oid or server, so that the number that came along is worth
nothing there.

**Limits.** Of the mark it brings back what decides over a life, and not what is for people. A
database whose comment *and* connection limit were overwritten is nobody's: it stays.
"""

from __future__ import annotations

import hashlib
from itertools import product

from pgsandbox.guard import Mark

# Below those of databases that have no oid yet (`guard.creation_limit`), so that none is both.
_LOWEST = 800_000_000
_NUMBERS = 600_000_000
_PURPOSES = ("test", "template")


def limit_of(mark: Mark) -> int:
    """The connection limit of the database that bears *mark*."""
    said = (mark.database, str(mark.oid), mark.server, mark.purpose, str(mark.is_kept))
    digest = hashlib.blake2b("\0".join(said).encode("utf-8", "surrogateescape"), digest_size=8)
    return _LOWEST + int.from_bytes(digest.digest(), "big") % _NUMBERS


def mark_behind(limit: int, name: str, oid: int, server: str) -> Mark | None:
    """The mark that the database with this *limit* bore, as far as that tells; None if none."""
    if not _LOWEST <= limit < _LOWEST + _NUMBERS:
        return None
    marks = (
        Mark(name, oid, server, purpose=purpose, is_kept=is_kept)
        for purpose, is_kept in product(_PURPOSES, (False, True))
    )
    return next((mark for mark in marks if limit_of(mark) == limit), None)
