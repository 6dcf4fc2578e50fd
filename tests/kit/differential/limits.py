"""The behaviours that are declared to differ in the sandbox, each with its limit.

Each limit stands in the documentation's list (docs/testing/isolation.md, Limits).
"""

from __future__ import annotations

LIMITS: dict[str, str] = {}
"""The limit by the behaviour's name."""
