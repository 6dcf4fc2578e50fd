"""The present time, timezone-aware and in UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present time in UTC.

    Every time column's default is this function: Python sets the time, not the server, so that two
    rows of one transaction have different times (``now()`` stands still within a transaction,
    PostgreSQL manual, 9.9.5).
    """
    return datetime.now(UTC)
