"""PGS302: a factory finds the session of the running test."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pgsandbox.lint.context import Context, Found
from pgsandbox.lint.names import spelt

_BASES = {"factory.alchemy.SQLAlchemyModelFactory", "factory.SQLAlchemyModelFactory"}


def check(context: Context) -> Iterator[Found]:
    """Yield each factory whose base is Factory Boy's own."""
    for node in context.source.of(ast.ClassDef):
        if any(_is_factory_boys(context, base) for base in node.bases):
            yield Found("PGS302", node, f"{node.name} needs a session that no test gives it")


def _is_factory_boys(context: Context, base: ast.expr) -> bool:
    dotted = context.canonical(base) or spelt(base)
    return dotted in _BASES
