"""Collects what the tests of a run have done to its schemas, and has their coverage measured."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pgsandbox.sandbox.endpoint import lexer
from pgsandbox.schema.coverage import Coverage, Observed, measure
from pgsandbox.wiring import Run

_ANALYSED = re.compile(
    r"[\s(]*(?:select|insert|update|delete|merge|with|values|table)\b", re.IGNORECASE
)
_PREFIXES = re.compile(
    r"\s*(?:PREPARE\s+\S+?(?:\s*\([^)]*\))?\s+AS\s+"
    r"|DECLARE\s+\S+\s.*?\bCURSOR\b.*?\bFOR\s+)",
    re.IGNORECASE | re.DOTALL,
)
_COPY = re.compile(
    r"\s*COPY\s+(?P<table>[^\s(]+)\s*(?:\((?P<columns>[^)]*)\))?\s+(?P<way>FROM|TO)\b",
    re.IGNORECASE,
)
_COPY_QUERY = re.compile(r"\s*COPY\s*\((?P<query>.*)\)\s*TO\b", re.IGNORECASE | re.DOTALL)
_TRUNCATE = re.compile(r"\s*TRUNCATE\s+(?:TABLE\s+)?(?:ONLY\s+)?(?P<tables>[^;]+)", re.IGNORECASE)
_PYFORMAT = re.compile(r"%\((\w+)\)s|%(%)|%s")
_OF_CLONES = (
    "tests with a database of their own: what SQLAlchemy sent is counted, and what constraints "
    "refused; not rows, triggers and actions"
)


class Collector:
    """What the tests of one run have done to each of its databases."""

    def __init__(self) -> None:
        self._observed: dict[str, Observed] = {}

    def take_clones(self, run: Run) -> None:
        """Take what the test has done to databases of its own, which are about to go."""
        for name, each in run.run_databases.items():
            clone = each.database.clone
            if clone is None:
                continue
            observed = self._of(name)
            for sent in clone.executed:
                for statement in _single(_numbered(sent.text)):
                    _add_statement(observed, statement, 1)
            if clone.executed and _OF_CLONES not in observed.notes:
                observed.notes.append(_OF_CLONES)
            observed.refused |= clone.refused

    def take(self, run: Run) -> None:
        """Take what the test that has just ended has done."""
        for name, each in run.run_databases.items():
            _add(self._of(name), each.database.take_observed())

    def _of(self, name: str) -> Observed:
        return self._observed.setdefault(name, Observed())

    def measure(self, run: Run) -> dict[str, Coverage]:
        """Return the coverage of each database, by its name in the settings."""
        found = {}
        for name, observed in self._observed.items():
            if name not in run.run_databases:
                continue
            url = run.run_databases[name].database.url
            connection = run.find_server().connect(url.database)
            try:
                found[name] = measure(connection, observed)
            finally:
                connection.close()
        return found


def _add(observed: Observed, taken: Mapping[str, Any] | None) -> None:
    if taken is None:
        return
    for text, by in taken["statements"]:
        for each in _single(text):
            _add_statement(observed, each, by)
    observed.values |= {(text, number, label) for text, number, label in taken["values"]}
    observed.refused |= {tuple(each) for each in taken["refused"]}
    for what, tables in taken["counted"].items():
        observed.counted.setdefault(what, set()).update((one, two) for one, two in tables)
    observed.calls.update(taken["calls"])
    observed.fired |= {tuple(each) for each in taken["fired"]}
    observed.labels |= {(kind, label) for kind, label in taken["labels"]}


def _add_statement(observed: Observed, text: str, by: int) -> None:
    observed.statements[text] = observed.statements.get(text, 0) | by


def _single(text: str) -> Iterable[str]:
    """Yield the statements of *text* that read or write rows, each as one that can be analysed."""
    for _, each in lexer.statements(text):
        prefix = _PREFIXES.match(each)
        statement = each[prefix.end() :] if prefix else each
        if _ANALYSED.match(statement):
            yield statement.strip()
        elif query := _COPY_QUERY.match(each):
            yield query["query"].strip()
        elif copy := _COPY.match(each):
            yield _of_copy(copy)
        elif truncate := _TRUNCATE.match(each):
            yield from (
                f"DELETE FROM {table.split()[0]}"  # noqa: S608 - it is analysed, and never run
                for table in truncate["tables"].split(",")
                if table.strip()
            )


def _of_copy(copy: re.Match[str]) -> str:
    table, columns = copy["table"], copy["columns"]
    if copy["way"].upper() == "TO":
        return f"SELECT {columns or '*'} FROM {table}"  # noqa: S608 - as above
    if not columns:
        return f"INSERT INTO {table} TABLE {table}"  # its columns, in their order
    nothing = ", ".join(["NULL"] * len(columns.split(",")))
    return f"INSERT INTO {table} ({columns}) VALUES ({nothing})"  # noqa: S608 - as above


def _numbered(text: str) -> str:
    """Return *text* with the server's parameters for the driver's."""
    names: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        if match[2]:
            return "%"
        name = match[1] or f"{len(names)}"
        return f"${names.setdefault(name, len(names) + 1)}"

    return _PYFORMAT.sub(number, text)
