"""Reads CHECK constraints as far as they are simple, and says whether values satisfy them.

What it understands: comparisons, BETWEEN, IN, IS NULL, LIKE, regular expressions, AND, OR, NOT,
arithmetic, casts, and the functions of `FUNCTIONS`. Whatever else stands there makes its part of
the condition undecided, not wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn

from pgsandbox.factories.logic import (
    FUNCTIONS,
    UNDECIDED,
    Evaluate,
    Undecided,
    all_of,
    any_of,
    calculated,
    compare,
    from_like,
    negative,
    not_,
    one_of,
    same,
)


@dataclass(frozen=True)
class Condition:
    """One CHECK constraint."""

    text: str
    """As SQL writes it."""
    columns: frozenset[str]
    """The names of the columns that it reads."""
    constants: tuple[Any, ...]
    """The literals in it, among which values may be found that satisfy it."""
    patterns: tuple[str, ...]
    """The regular expressions in it."""
    evaluate: Evaluate
    """Give True, False, None for NULL, or `UNDECIDED`, for the values of its columns."""


def parse(text: str) -> Condition:
    """Return the condition that *text* is; one that nobody understands is always undecided."""
    reader = _Reader(_tokens(text))
    try:
        evaluate = reader.expression()
        if reader.here() != "":
            reader.refuse()
    except _NotUnderstood:
        words = frozenset(re.findall(r"\w+", text))
        return Condition(text, words, (), (), lambda _: UNDECIDED)
    return Condition(
        text, frozenset(reader.columns), tuple(reader.constants), tuple(reader.patterns), evaluate
    )


class _NotUnderstood(Exception):
    """What stands there is beyond this parser."""


_TOKEN = re.compile(
    r"""\s*(
        '(?:[^']|'')*'                      # a string
      | "(?:[^"]|"")*"                      # a quoted name
      | \d+(?:\.\d+)?(?:[eE][+-]?\d+)?      # a number
      | [A-Za-z_][\w$]*                     # a name or a word
      | ::|<>|!=|<=|>=|!~\*|!~|~\*|\|\||[-+*/%=<>~(),.\[\]]
    )""",
    re.VERBOSE,
)


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    place = 0
    text = text.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            return ["\0"]
        found.append(match[1])
        place = match.end()
    return found


@dataclass
class _Reader:
    """A recursive descent, in the order in which PostgreSQL's operators bind (manual, 4.1.6)."""

    tokens: list[str]
    place: int = 0
    columns: set[str] = field(default_factory=set)
    constants: list[Any] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)

    def here(self, ahead: int = 0) -> str:
        """Return the token here, a word in small letters; at the end an empty one."""
        index = self.place + ahead
        token = self.tokens[index] if index < len(self.tokens) else ""
        return token if token[:1] in "\"'" else token.lower()

    def take(self, *words: str) -> bool:
        """Go past *words* if they stand here."""
        if all(self.here(at) == word for at, word in enumerate(words)):
            self.place += len(words)
            return True
        return False

    def need(self, word: str) -> None:
        """Go past *word*."""
        if not self.take(word):
            self.refuse()

    def refuse(self) -> NoReturn:
        """Give up."""
        raise _NotUnderstood

    def expression(self) -> Evaluate:
        """OR of ANDs."""
        parts = [self.conjunction()]
        while self.take("or"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else lambda env: any_of([each(env) for each in parts])

    def conjunction(self) -> Evaluate:
        """AND of negations."""
        parts = [self.negation()]
        while self.take("and"):
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else lambda env: all_of([each(env) for each in parts])

    def negation(self) -> Evaluate:
        """NOT, or what stands there."""
        if self.take("not"):
            inner = self.negation()
            return lambda env: not_(inner(env))
        return self.comparison()

    def comparison(self) -> Evaluate:
        """One side, or two that are compared."""
        left = self.sum()
        while True:
            following = self._compared(left)
            if following is None:
                return left
            left = following

    def _compared(self, left: Evaluate) -> Evaluate | None:
        if self.here() == "not" and self.here(1) in {"in", "between", "like", "ilike"}:
            self.place += 1
            inner = self._compared(left)
            return None if inner is None else lambda env: not_(inner(env))
        word = self.here()
        follow = self._following(word)
        if follow is None:
            return None
        self.place += 1
        return follow(left)

    def _following(self, word: str) -> Callable[[Evaluate], Evaluate] | None:
        """Return what reads the rest of a comparison that begins with *word*."""
        if word in {"=", "<>", "!=", "<=", ">=", "<", ">"}:
            return lambda left: self._against(word, left)
        if word in {"~", "~*", "!~", "!~*"}:
            return lambda left: self._regex(word, left)
        return {
            "is": self._is,
            "in": self._in,
            "between": self._between,
            "like": lambda left: self._matching(left, 0, from_like),
            "ilike": lambda left: self._matching(left, re.IGNORECASE, from_like),
        }.get(word)

    def _in(self, left: Evaluate) -> Evaluate:
        self.need("(")
        return one_of(left, self._list(")"))

    def _between(self, left: Evaluate) -> Evaluate:
        low = self.sum()
        self.need("and")
        high = self.sum()
        return lambda env: all_of(
            [compare("<=", low(env), left(env)), compare("<=", left(env), high(env))]
        )

    def _regex(self, word: str, left: Evaluate) -> Evaluate:
        found = self._matching(left, re.IGNORECASE if "*" in word else 0, str)
        return (lambda env: not_(found(env))) if "!" in word else found

    def _is(self, left: Evaluate) -> Evaluate:
        negated = self.take("not")
        if self.take("distinct"):
            self.need("from")
            right = self.sum()
            negated = not negated

            def found(env: Mapping[str, Any]) -> Any:
                return same(left(env), right(env))
        else:
            wanted = _WORDS.get(self.here(), UNDECIDED)
            if wanted is UNDECIDED:
                self.refuse()
            self.place += 1

            def found(env: Mapping[str, Any]) -> Any:
                return same(left(env), wanted)

        return (lambda env: not_(found(env))) if negated else found

    def _against(self, word: str, left: Evaluate) -> Evaluate:
        if self.here() in {"any", "all"} and self.here(1) == "(":
            is_any = self.here() == "any"
            self.place += 2
            right = self.expression()
            self.need(")")
            together = any_of if is_any else all_of

            def found(env: Mapping[str, Any]) -> Any:
                items = right(env)
                if not isinstance(items, list):
                    return UNDECIDED
                return together([compare(word, left(env), each) for each in items])

            return found
        right = self.sum()
        return lambda env: compare(word, left(env), right(env))

    def _matching(self, left: Evaluate, flags: int, to_regex: Callable[[str], str]) -> Evaluate:
        right = self.sum()
        pattern = right({})
        if not isinstance(pattern, str):
            self.refuse()
        try:
            regex = re.compile(to_regex(pattern), flags)
        except re.error:
            self.refuse()
        self.patterns.append(regex.pattern)

        def found(env: Mapping[str, Any]) -> Any:
            value = left(env)
            if value is None or isinstance(value, Undecided):
                return value if value is None else UNDECIDED
            return regex.search(str(value)) is not None

        return found

    def sum(self) -> Evaluate:
        """Sums, and strings that are joined."""
        left = self.product()
        while self.here() in {"+", "-", "||"}:
            word = self.here()
            self.place += 1
            left = calculated(word, left, self.product())
        return left

    def product(self) -> Evaluate:
        """Products."""
        left = self.unary()
        while self.here() in {"*", "/", "%"}:
            word = self.here()
            self.place += 1
            left = calculated(word, left, self.unary())
        return left

    def unary(self) -> Evaluate:
        """A sign, or what stands there with its casts."""
        if self.take("-"):
            inner = self.unary()
            self.constants.append(negative(inner({})))
            return lambda env: negative(inner(env))
        found = self.primary()
        while self.take("::"):
            self._type()
        return found

    def _type(self) -> None:
        self._name()
        while self.here() in {"varying", "precision", "without", "with", "time", "zone"}:
            self.place += 1
        if self.take("("):
            while not self.take(")"):
                if not self.here():
                    self.refuse()
                self.place += 1
        while self.take("[", "]"):
            pass

    def _name(self) -> str:
        token = self.here()
        if not (token[:1] == '"' or re.match(r"[a-z_]", token)):
            self.refuse()
        self.place += 1
        return token[1:-1].replace('""', '"') if token[0] == '"' else token

    def primary(self) -> Evaluate:
        """A literal, a column, a call, or something in parentheses."""
        if self.take("("):
            found = self.expression()
            self.need(")")
            return found
        if self.take("array", "["):
            items = self._list("]")
            return lambda env: [each(env) for each in items]
        if self.take("cast", "("):
            found = self.expression()
            self.need("as")
            self._type()
            self.need(")")
            return found
        return self._literal() or self._column_or_call()

    def _literal(self) -> Evaluate | None:
        token = self.here()
        if token in _WORDS:
            self.place += 1
            value = _WORDS[token]
            return lambda _: value
        if token[:1] == "'":
            self.place += 1
            return self._constant(token[1:-1].replace("''", "'"))
        if token[:1].isdigit():
            self.place += 1
            return self._constant(int(token) if token.isdigit() else Decimal(token))
        if token in _RESERVED:
            self.refuse()
        return None

    def _column_or_call(self) -> Evaluate:
        name = self._name()
        if self.take("("):
            return self._called(name)
        while self.take("."):
            name = self._name()
            if self.take("("):
                return self._called(name)
        self.columns.add(name)
        return lambda env: env.get(name, UNDECIDED)

    def _called(self, name: str) -> Evaluate:
        arguments = self._list(")")
        function = FUNCTIONS.get(name)

        def found(env: Mapping[str, Any]) -> Any:
            values = [each(env) for each in arguments]
            if function is None:
                return UNDECIDED
            try:
                return function(*values)
            except (TypeError, ValueError, AttributeError):
                return UNDECIDED

        return found

    def _list(self, end: str) -> list[Evaluate]:
        found: list[Evaluate] = []
        while not self.take(end):
            found.append(self.expression())
            if not self.take(",") and self.here() != end:
                self.refuse()
        return found

    def _constant(self, value: Any) -> Evaluate:
        self.constants.append(value)
        return lambda _: value


_WORDS = {"true": True, "false": False, "null": None}
_RESERVED = frozenset({"", "case", "select", "exists", "and", "or", "is", "in", "then", "when"})
