"""The behaviours that differ silently and should not, each with what is wrong.

The list may only become shorter: a behaviour that is not on it must not differ, and one that no
longer differs has to leave it.
"""

from __future__ import annotations

FAULTS: dict[str, str] = {}
"""What is wrong by the behaviour's name, of one driver or of all."""

UNSTEADY: frozenset[str] = frozenset()
"""Those of them that hang in one run and not in another."""
