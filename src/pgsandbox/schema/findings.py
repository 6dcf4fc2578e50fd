"""Words for the differences between models and migrations, and what is left of them to report."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from pgsandbox.reports import Finding
from pgsandbox.schema.compare import Difference
from pgsandbox.schema.reconcile import statement_for
from pgsandbox.schema.schema_objects import Catalog

PAGE = "reference/schema-diff/"


@dataclass(frozen=True)
class Ignore:
    """Differences that a project has decided to live with."""

    object: str
    """The object, with all that belongs to it; ``*`` stands for any text."""
    reason: str
    """Why."""
    finding: str = "*"
    """The kind of finding; ``*`` stands for any text."""

    def covers(self, found: Finding) -> bool:
        """Whether *found* is one of them."""
        named = any(
            fnmatch.fnmatchcase(found.subject, pattern)
            for pattern in (self.object, f"{self.object}.*")
        )
        return named and fnmatch.fnmatchcase(found.code, self.finding)


def findings(differences: Sequence[Difference], right: Catalog) -> list[Finding]:
    """Return a finding for each difference from *right*: both definitions, and what reconciles."""
    return [_finding(each, right) for each in differences]


def _finding(difference: Difference, right: Catalog) -> Finding:
    details = {}
    if difference.facet != "unexpected":
        details["models"] = difference.left or "nothing"
    if difference.facet != "missing":
        details["migrations"] = difference.right or "nothing"
    if difference.consequences:
        details["with it"] = _told(difference.consequences)
    statement = statement_for(difference, right)
    if statement:
        details["statement"] = f"{statement};"
    return Finding(
        code=difference.code,
        message=_message(difference),
        subject=difference.key.identity,
        details=details,
        page=f"{PAGE}#{difference.code}",
    )


def _told(consequences: tuple[str, ...], most: int = 6) -> str:
    rest = len(consequences) - most
    return "\n".join([*consequences[:most], *([f"and {rest} more"] if rest > 0 else [])])


def _message(difference: Difference) -> str:
    found = difference.first or difference.second
    label = found.label if found else difference.key.kind
    said = _MESSAGES.get(difference.facet, "The {facet} of the {label} differs.")
    is_value = difference.facet == "value"
    facet = difference.code.rpartition("-")[2] if is_value else difference.facet
    return said.format(label=_LONGER.get(label, label), facet=facet.replace("-", " "))


_LONGER = {
    "unique": "unique constraint",
    "check": "check constraint",
    "exclusion": "exclusion constraint",
    "composite": "composite type",
    "range": "range type",
}

_MESSAGES = {
    "missing": "The {label} is in the models, and the migrations don't make it.",
    "unexpected": "The migrations make the {label}, and it is not in the models.",
    "name": "The {label} has another name in the migrations.",
    "form": "One side has a unique constraint, the other a unique index.",
    "column-order": "The columns stand in another order.",
}
