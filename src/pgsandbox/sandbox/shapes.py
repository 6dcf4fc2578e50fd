"""What two texts of one statement have in common, and the tables that it names.

A driver may write values into the text, and SQLAlchemy writes one parameter for each value of an
``IN``. The shape of a statement is its text without either: statements that a loop has sent for one
row each have one shape. Both are read from words, as `statements` does; what a view or a function
reads behind them is not there.
"""

from __future__ import annotations

import re
from functools import lru_cache

from pgsandbox.sandbox.endpoint import lexer

_LIST = re.compile(r"\(\s*\?(?:\s*,\s*\?)*\s*\)(?:\s*,\s*\(\s*\?(?:\s*,\s*\?)*\s*\))*")
_PARAMETER = re.compile(r"%\((?:[^)]*)\)s|%s|\$\d+")
_NUMBER = re.compile(r'(?<![\w$"])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b')
_SPACE = re.compile(r"\s+")
_CAST = re.compile(r"\?::[\w ]+?(?=\s*[,)])")


@lru_cache(maxsize=4096)
def shape_of(text: str) -> str:
    """Return *text* with ``?`` for each value and each list of values."""
    bare = lexer.without_literals(_PARAMETER.sub("?", text)).replace("''", "?")
    bare = _CAST.sub("?", _NUMBER.sub("?", bare))
    return _SPACE.sub(" ", _LIST.sub("(?)", bare)).strip()


@lru_cache(maxsize=4096)
def tables_of(text: str) -> frozenset[str]:
    """Return the tables that *text* names, as the server folds them: ``orders``, ``app.orders``."""
    return frozenset(_Tables(text).found)


def names_table(text: str, table: str) -> bool:
    """Whether *text* names *table*, which may stand there with its schema although here not."""
    return any(table in (each, each.rpartition(".")[2]) for each in tables_of(text))


_BEFORE_TABLES = frozenset({"from", "join", "into", "update", "using", "table", "truncate", "copy"})
_BETWEEN = frozenset({"only", "lateral", "if", "exists", "not"})
_NO_FROM = frozenset({"extract", "substring", "trim", "overlay", "position"})
"""Functions whose arguments are told apart by the word FROM (PostgreSQL manual, 9.4)."""
_NO_TABLE = frozenset({"set", "select", "values", "nowait", "skip", "of", "lateral", "stdin"})


class _Tables:
    """Walks over the words of one text."""

    def __init__(self, text: str) -> None:
        self.found: set[str] = set()
        tokens = [each for each in lexer.tokens(text) if each.kind != "comment"]
        self._kinds = [each.kind for each in tokens]
        self._words = [
            _folded(text[begin:end]) if kind in ("word", "quoted") else kind
            for kind, begin, end in tokens
        ]
        self._named = self._with_queries()
        self._walk()

    def _with_queries(self) -> set[str]:
        """What WITH gives a name to, which is no table."""
        words, found = self._words, set[str]()
        for place in range(1, len(words) - 2):
            is_after = words[place - 1] in ("with", "recursive", ",")
            rest = words[place + 1 : place + 4]
            if is_after and self._is_name(place) and (rest[0] == "as" or rest[0] == "("):
                end = self._closing(place + 1) + 1 if rest[0] == "(" else place + 1
                if self._at(end) == "as" and self._at(end + 1) in ("(", "not", "materialized"):
                    found.add(words[place])
        return found

    def _walk(self) -> None:
        functions: list[str] = []
        for place, word in enumerate(self._words):
            if word == "(":
                functions.append(self._words[place - 1] if place else "")
            elif word == ")" and functions:
                functions.pop()
            elif self._kinds[place] == "word" and word in _BEFORE_TABLES:
                is_in_call = word == "from" and functions and functions[-1] in _NO_FROM
                before = self._words[place - 1] if place else ""
                if not is_in_call and before not in ("distinct", "for", "key", "do"):
                    self._take(place + 1, several=word in ("from", "using", "table", "truncate"))

    def _take(self, place: int, *, several: bool) -> None:
        """Take the table at *place*, and with *several* those after a comma."""
        while (after := self._take_one(place, several=several)) is not None:
            if self._at(after) == "as":
                after += 1
            if self._is_name(after) and self._at(after) not in _AFTER_TABLE:
                after += 1
            if not several or self._at(after) != ",":
                return
            place = after + 1

    def _take_one(self, place: int, *, several: bool) -> int | None:
        """Take the table, function or query at *place*; return what is after it."""
        while self._at(place) in _BETWEEN:
            place += 1
        if self._at(place) == "(":
            return self._closing(place) + 1
        if not self._is_name(place) or self._at(place) in _NO_TABLE | _BEFORE_TABLES:
            return None
        name = self._at(place)
        while self._at(place + 1) == "." and self._is_name(place + 2):
            place += 2
            name = f"{name}.{self._at(place)}"
        if several and self._at(place + 1) == "(":  # a call; INTO has its columns there
            return self._closing(place + 1) + 1
        if name not in self._named:
            self.found.add(name)
        return place + 1

    def _at(self, place: int) -> str:
        return self._words[place] if place < len(self._words) else ""

    def _is_name(self, place: int) -> bool:
        return place < len(self._kinds) and self._kinds[place] in ("word", "quoted")

    def _closing(self, place: int) -> int:
        depth = 0
        for here in range(place, len(self._words)):
            depth += {"(": 1, ")": -1}.get(self._words[here], 0)
            if depth == 0:
                return here
        return len(self._words)


_AFTER_TABLE = frozenset(
    {
        *("where", "join", "inner", "left", "right", "full", "cross", "natural"),
        *("on", "using", "group", "order", "limit", "offset", "for", "union"),
        *("intersect", "except", "having", "window", "set", "values", "select", "default"),
        *("returning", "tablesample"),
    }
)


def _folded(word: str) -> str:
    return word[1:-1].replace('""', '"') if word.startswith('"') else word.lower()
