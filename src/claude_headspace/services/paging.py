"""Which part of a list is wanted."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_PAGE = 200
"""Rows; what a client may ask for at once."""


@dataclass(frozen=True)
class Page:
    """A part of a list."""

    limit: int = 50
    """Rows at most."""
    offset: int = 0
    """Rows to leave out before the first."""
