"""The statements of a ``with pg.counting()`` block, and what is said where they are too many."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from pgsandbox.sandbox.shapes import names_table, shape_of


class Queries:
    """The statements that were sent inside of a ``with pg.counting()`` block."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        """Their texts in order, without savepoints and without commit and rollback."""

    def __len__(self) -> int:
        return len(self.statements)

    def __repr__(self) -> str:
        return "\n".join([_number(len(self)), *self.statements])

    def of_table(self, table: str) -> Queries:
        """Return those that name *table*, with or without its schema.

        A table behind a view, a trigger or a function is not named.
        """
        found = Queries()
        found.statements = [each for each in self.statements if names_table(each, table)]
        return found

    def repeated(self) -> dict[str, int]:
        """Return each statement that was sent more than once, values aside, and how often."""
        counts: dict[str, int] = {}
        for each in self.statements:
            counts[shape_of(each)] = counts.get(shape_of(each), 0) + 1
        return {text: count for text, count in counts.items() if count > 1}


class Counting(AbstractContextManager[Queries]):
    """Counts what is sent inside of the block, and fails where that is not what was allowed."""

    def __init__(
        self,
        look: Callable[[], Callable[[], list[str]]],
        maximum: int | None,
        exactly: int | None,
        table: str | None,
    ) -> None:
        self._look = look
        self._maximum = maximum
        self._exactly = exactly
        self._table = table
        self._queries = Queries()

    def __enter__(self) -> Queries:
        self._sent = self._look()
        return self._queries

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        __tracebackhide__ = True
        self._queries.statements.extend(self._sent())
        if error is not None:
            return
        counted = self._queries if self._table is None else self._queries.of_table(self._table)
        count = len(counted)
        is_wrong = self._exactly is not None and count != self._exactly
        if is_wrong or (self._maximum is not None and count > self._maximum):
            raise AssertionError(self._said(counted))

    def _said(self, counted: Queries) -> str:
        wanted = f"at most {self._maximum}" if self._exactly is None else f"exactly {self._exactly}"
        of = f" on {self._table}" if self._table else ""
        lines = [f"{_number(len(counted))}{of}, and the test allows {wanted}:", ""]
        shown = counted.statements[:_SHOWN]
        width = len(str(len(shown)))
        lines += [
            f"{number:>{width}}  {' '.join(text.split())}" for number, text in enumerate(shown, 1)
        ]
        if len(counted) > len(shown):
            lines.append(f"... {len(counted) - len(shown)} more")
        repeated = counted.repeated()
        if repeated:
            worst = max(repeated, key=lambda text: repeated[text])
            lines += ["", f"{repeated[worst]} times, values aside: {worst}"]
        return "\n".join(lines)


_SHOWN = 30


def _number(count: int) -> str:
    return "1 statement" if count == 1 else f"{count} statements"
