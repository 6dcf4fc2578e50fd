"""What the endpoint said, as the cause of the error that a driver made of it."""

from __future__ import annotations

from typing import Any

from pgsandbox import errors
from pgsandbox.errors import Fact, PgSandboxError, chain_of


def explain(context: Any) -> None:
    """Give a driver's error the kit's own as its cause: SQLAlchemy's ``handle_error``."""
    raised = context.original_exception
    found = refusal_in(raised)
    if found is not None:
        # asyncpg's own error has the number by which the endpoint knows this one: kept, not shown.
        found.__context__, found.__suppress_context__ = raised.__cause__, True
        raised.__cause__ = found


def refusal_in(raised: BaseException) -> PgSandboxError | None:
    """Return what the endpoint refused, if *raised* is a driver's error that says so.

    The endpoint names itself in the error's field for a schema, which no driver hides.
    """
    for error in (raised, raised.__cause__):
        about = getattr(error, "diag", error)
        if getattr(about, "schema_name", None) != "pgsandbox":
            continue
        words = getattr(about, "message_primary", None) or getattr(about, "message", None) or ""
        detail = getattr(about, "message_detail", None) or getattr(about, "detail", None) or ""
        hint = getattr(about, "message_hint", None) or getattr(about, "hint", None) or ""
        name, _, headline = words.partition(": ")
        kind = getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, PgSandboxError):
            return kind(headline, facts=_facts(detail), remedy=hint)
    return None


def refusal_behind(raised: BaseException) -> PgSandboxError | None:
    """Return what pgsandbox refused, if *raised* is that, or came of it."""
    for error in chain_of(raised):
        found = error if isinstance(error, PgSandboxError) else refusal_in(error)
        if found is not None:
            return found
    return None


def _facts(detail: str) -> list[Fact]:
    return [Fact(*line.split(": ", 1)) for line in detail.split("\n") if ": " in line]
