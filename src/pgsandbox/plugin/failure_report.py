"""Why a test that used the database is red: what PostgreSQL refused, and who wrote what.

A screen at most, in the order in which people ask: the refusal with the constraint's definition and
the offending values; the transactions, with their outcome and the line of each write; hints. What
SQLAlchemy and the kit send for themselves is left out. With ``-vv`` every statement follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pgsandbox.masking import masked_sql, masked_value
from pgsandbox.plugin import hints
from pgsandbox.sandbox.endpoint.ledger import WRITES
from pgsandbox.sandbox.endpoint.statements import is_transaction_control
from pgsandbox.sandbox.statement_places import StatementPlaces

_LINES = 24
"""Lines of the transactions; refusals and hints are few."""
_WIDTH = 110
"""Characters of a statement; its connection and line follow."""
_LONG = 300
"""Characters of what a refusal says."""
_REFUSALS = 3
_FAILING_ROW = re.compile(r"Failing row contains \((.*)\)\.", re.DOTALL)


@dataclass(eq=False)
class Transaction:
    """What one connection did between its begin and its end."""

    connection: str
    outcome: str
    """``committed``, ``rolled back`` or ``open``."""
    is_arranging: bool
    """Whether it is the test's own session's."""
    statements: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def writes(self) -> list[Mapping[str, Any]]:
        """Its statements that wrote rows, and those that were refused."""
        return [each for each in self.statements if _wrote(each) or each["error"]]


def text_of(
    story: Mapping[str, Any],
    places: StatementPlaces,
    failure: BaseException,
    *,
    restarts_sequences: bool,
    moves_clock: bool,
) -> str:
    """Return the report's section about one database, from what its endpoint tells."""
    _tell_times(story["statements"])
    lines = list(_refusals(story, places))
    transactions = list(transactions_of(story))
    lines += _bounded(transactions, places, story["left_out"])
    found = hints.of(
        failure,
        story,
        transactions,
        places,
        restarts_sequences=restarts_sequences,
        moves_clock=moves_clock,
    )
    lines += [f"hint: {each}" for each in found]
    return "\n".join(lines)


def _tell_times(statements: list[dict[str, Any]]) -> None:
    """Let each statement know when the one before it came on its connection."""
    latest: dict[str, float] = {}
    for each in statements:
        each["since"] = latest.get(each["connection"], 0.0)
        if not is_transaction_control(each["text"]):  # a driver sends BEGIN with the statement
            latest[each["connection"]] = each["at"]


# ------------------------------------------------------------------------ what was refused


def _refusals(story: Mapping[str, Any], places: StatementPlaces) -> Iterator[str]:
    refused = [each for each in story["statements"] if each["error"]]
    for each in refused[-_REFUSALS:]:
        error = each["error"]
        if error.get("s") == "pgsandbox":
            continue  # a refusal of the kit's says everything by itself
        yield f"refused: {_statement(each)}{_place(each, places)}"
        yield f"    {_one_line(error.get('M', ''))}"
        about = story["definitions"].get(f"{error.get('s')}.{error.get('t')}.{error.get('n', '')}")
        if about and about["definition"]:
            yield f"    {error['n']} on {about['table']}: {_one_line(about['definition'], _LONG)}"
        if detail := error.get("D"):
            yield f"    {_values(detail, about, error.get('c'))}"


def _values(detail: str, about: Mapping[str, Any] | None, column: str | None) -> str:
    """Return the offending values of *detail*, each with its column where that can be told."""
    row = _FAILING_ROW.search(detail)
    if row is None or about is None:
        return _one_line(detail, _LONG)
    values, columns = row[1].split(", "), about["columns"]
    if len(values) != len(columns):  # a value has a comma of its own
        return _one_line(detail, _LONG)
    of_constraint = about["of"] or ([column] if column else [])
    pairs = zip(columns, values, strict=True)
    named = {name: masked_value(name, value) for name, value in pairs}
    first = [name for name in columns if name in of_constraint]
    rest = [name for name in columns if name not in of_constraint]
    shown = ", ".join(f"{name} = {named[name]}" for name in first)
    others = ", ".join(f"{name} = {named[name]}" for name in rest)
    return _one_line(f"{shown} (with {others})" if shown and others else shown or others, _LONG)


# ------------------------------------------------------------------------ transactions


def transactions_of(story: Mapping[str, Any]) -> Iterator[Transaction]:
    """Yield the transactions of a test in the order in which they began."""
    found: dict[tuple[str, int], Transaction] = {}
    for each in story["statements"]:
        if is_transaction_control(each["text"]):
            continue
        key = each["connection"], each["transaction"]
        if key not in found:
            found[key] = Transaction(each["connection"], each["outcome"], each["is_arranging"])
        found[key].statements.append(each)
    yield from found.values()


def _bounded(transactions: list[Transaction], places: StatementPlaces, left_out: int) -> list[str]:
    """Return the lines of the latest of *transactions* that there is room for."""
    blocks = [_block(each, places) for each in transactions]
    kept: list[list[str]] = []
    for block in blocks[::-1]:
        if kept and sum(map(len, kept)) + len(block) > _LINES:
            break
        kept.insert(0, block[:1] + block[1:][-_LINES:])
    before = len(blocks) - len(kept)
    lines = [line for block in kept for line in block]
    if before or left_out:
        more = "; -vv shows their statements"
        noun = "transaction" if before == 1 else "transactions"
        lines.insert(0, f"... {before or 'more'} {noun} before{more}")
    return lines


def _block(transaction: Transaction, places: StatementPlaces) -> list[str]:
    lines = [f"{transaction.connection}, {transaction.outcome}:"]
    reads: list[Mapping[str, Any]] = []
    for each in transaction.statements:
        if not _wrote(each) and not each["error"]:
            reads.append(each)
            continue
        lines += _folded(reads, places)
        reads = []
        said = "refused" if each["error"] else _rows(each["tag"])
        if each["is_undone"]:
            said += ", undone to a savepoint"
        lines.append(f"    {_statement(each)}  [{said}]{_place(each, places)}")
    return lines + _folded(reads, places)


def _folded(reads: list[Mapping[str, Any]], places: StatementPlaces) -> list[str]:
    if not reads:
        return []
    last = reads[-1]
    more = f"{len(reads) - 1} more and " if len(reads) > 1 else ""
    return [f"    {more}{_statement(last)}  [{_rows(last['tag'])}]{_place(last, places)}"]


def _wrote(each: Mapping[str, Any]) -> bool:
    word = each["tag"].partition(" ")[0]
    return word.encode() in WRITES


def _rows(tag: str) -> str:
    count = tag.rpartition(" ")[2]
    if not count.isdigit():
        return tag.lower() or "no answer"
    return "1 row" if count == "1" else f"{count} rows"


def _place(each: Mapping[str, Any], places: StatementPlaces) -> str:
    found = places.of(each["token"], each["at"])
    is_its_own = found is not None and found.at > each["since"]
    return f"  {found}" if is_its_own else ""


def _statement(each: Mapping[str, Any]) -> str:
    return _one_line(each["text"])


def _one_line(text: str, width: int = _WIDTH) -> str:
    line = " ".join(masked_sql(text).split())
    return line if len(line) <= width else f"{line[: width - 3]}..."
