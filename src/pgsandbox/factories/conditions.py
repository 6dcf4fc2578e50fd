"""Reads CHECK constraints as far as they are simple, and says whether values satisfy them.

What it understands: comparisons, BETWEEN, IN, IS NULL, LIKE, regular expressions, AND, OR, NOT,
arithmetic, casts, and the functions of `_FUNCTIONS`. Whatever else stands there makes its part of
the condition undecided, not wrong.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn


class Undecided:
    """What a condition gives that can't be decided here."""

    def __repr__(self) -> str:
        return "UNDECIDED"


UNDECIDED = Undecided()
PRESENT = Undecided()
"""A value of which only this is known: it is not NULL."""

Evaluate = Callable[[Mapping[str, Any]], Any]


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
        return parts[0] if len(parts) == 1 else lambda env: _any([each(env) for each in parts])

    def conjunction(self) -> Evaluate:
        """AND of negations."""
        parts = [self.negation()]
        while self.take("and"):
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else lambda env: _all([each(env) for each in parts])

    def negation(self) -> Evaluate:
        """NOT, or what stands there."""
        if self.take("not"):
            inner = self.negation()
            return lambda env: _not(inner(env))
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
        if self.take("is"):
            return self._is(left)
        if self.here() == "not" and self.here(1) in {"in", "between", "like", "ilike"}:
            self.place += 1
            inner = self._compared(left)
            if inner is None:
                self.refuse()
            return lambda env: _not(inner(env))
        if self.take("in"):
            self.need("(")
            return _one_of(left, self._list(")"))
        if self.take("between"):
            low = self.sum()
            self.need("and")
            high = self.sum()
            return lambda env: _all(
                [_compare("<=", low(env), left(env)), _compare("<=", left(env), high(env))]
            )
        for word, flags in (("like", 0), ("ilike", re.IGNORECASE)):
            if self.take(word):
                return self._matching(left, flags, _from_like)
        for word in ("~*", "~", "!~*", "!~"):
            if self.take(word):
                found = self._matching(left, re.IGNORECASE if "*" in word else 0, str)
                return (lambda env: _not(found(env))) if "!" in word else found
        for word in ("=", "<>", "!=", "<=", ">=", "<", ">"):
            if self.take(word):
                return self._against(word, left)
        return None

    def _is(self, left: Evaluate) -> Evaluate:
        negated = self.take("not")
        if self.take("distinct"):
            self.need("from")
            right = self.sum()
            negated = not negated

            def found(env: Mapping[str, Any]) -> Any:
                return _same(left(env), right(env))
        else:
            wanted = {"null": None, "true": True, "false": False}.get(self.here(), UNDECIDED)
            if wanted is UNDECIDED:
                self.refuse()
            self.place += 1

            def found(env: Mapping[str, Any]) -> Any:
                return _same(left(env), wanted)

        return (lambda env: _not(found(env))) if negated else found

    def _against(self, word: str, left: Evaluate) -> Evaluate:
        if self.here() in {"any", "all"} and self.here(1) == "(":
            is_any = self.here() == "any"
            self.place += 2
            right = self.expression()
            self.need(")")
            together = _any if is_any else _all

            def found(env: Mapping[str, Any]) -> Any:
                items = right(env)
                if not isinstance(items, list):
                    return UNDECIDED
                return together([_compare(word, left(env), each) for each in items])

            return found
        right = self.sum()
        return lambda env: _compare(word, left(env), right(env))

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
            left = _calculated(word, left, self.product())
        return left

    def product(self) -> Evaluate:
        """Products."""
        left = self.unary()
        while self.here() in {"*", "/", "%"}:
            word = self.here()
            self.place += 1
            left = _calculated(word, left, self.unary())
        return left

    def unary(self) -> Evaluate:
        """A sign, or what stands there with its casts."""
        if self.take("-"):
            inner = self.unary()
            self.constants.append(_negative(inner({})))
            return lambda env: _negative(inner(env))
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
        token = self.here()
        if self.take("("):
            found = self.expression()
            self.need(")")
            return found
        if token[:1] == "'":
            self.place += 1
            return self._constant(token[1:-1].replace("''", "'"))
        if token[:1].isdigit():
            self.place += 1
            return self._constant(int(token) if token.isdigit() else Decimal(token))
        if token in {"true", "false", "null"}:
            self.place += 1
            value = {"true": True, "false": False, "null": None}[token]
            return lambda _: value
        if self.take("array", "["):
            items = self._list("]")
            return lambda env: [each(env) for each in items]
        if self.take("cast", "("):
            found = self.expression()
            self.need("as")
            self._type()
            self.need(")")
            return found
        if token in _RESERVED:
            self.refuse()
        return self._column_or_call()

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
        function = _FUNCTIONS.get(name)

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


_RESERVED = frozenset({"", "case", "select", "exists", "and", "or", "is", "in", "then", "when"})


# -- PostgreSQL's logic of three values, and a fourth: undecided ----------------------------------


def _all(values: list[Any]) -> Any:
    if any(each is False for each in values):
        return False
    if any(isinstance(each, Undecided) for each in values):
        return UNDECIDED
    return None if None in values else True


def _any(values: list[Any]) -> Any:
    if any(each is True for each in values):
        return True
    if any(isinstance(each, Undecided) for each in values):
        return UNDECIDED
    return None if None in values else False


def _not(value: Any) -> Any:
    return (not value) if isinstance(value, bool) else value


def _same(left: Any, right: Any) -> Any:
    if left is None or right is None:
        return left is right
    if isinstance(left, Undecided) or isinstance(right, Undecided):
        return UNDECIDED
    return _compare("=", left, right)


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
    "||": operator.add,
}


def _compare(word: str, left: Any, right: Any) -> Any:
    if left is None or right is None:
        return None
    if isinstance(left, Undecided) or isinstance(right, Undecided):
        return UNDECIDED
    if isinstance(left, float | Decimal) and isinstance(right, float | Decimal):
        left, right = float(left), float(right)
    if isinstance(left, str) != isinstance(right, str) and word in {"=", "<>", "!="}:
        return UNDECIDED  # PostgreSQL casts one of them
    try:
        return bool(_OPERATORS[word](left, right))
    except TypeError:
        return UNDECIDED


def _one_of(left: Evaluate, items: list[Evaluate]) -> Evaluate:
    return lambda env: _any([_compare("=", left(env), each(env)) for each in items])


def _calculated(word: str, left: Evaluate, right: Evaluate) -> Evaluate:
    def found(env: Mapping[str, Any]) -> Any:
        first, second = left(env), right(env)
        if first is None or second is None:
            return None
        if isinstance(first, Undecided) or isinstance(second, Undecided):
            return UNDECIDED
        try:
            return _OPERATORS[word](first, second)
        except (TypeError, ArithmeticError):
            return UNDECIDED

    return found


def _negative(value: Any) -> Any:
    return -value if isinstance(value, int | float | Decimal) else value


def _from_like(pattern: str) -> str:
    return "^" + re.escape(pattern).replace("%", "(?s:.*)").replace("_", "(?s:.)") + "$"


def _nullable(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*values: Any) -> Any:
        if any(isinstance(each, Undecided) for each in values):
            return UNDECIDED
        return None if None in values else function(*values)

    return call


def _coalesce(*values: Any) -> Any:
    return next((each for each in values if each is not None), None)


def _json_type(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean"}
    return names.get(type(value), "number")


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "length": _nullable(len),
    "char_length": _nullable(len),
    "character_length": _nullable(len),
    "octet_length": _nullable(lambda text: len(text.encode() if isinstance(text, str) else text)),
    "lower": _nullable(str.lower),
    "upper": _nullable(str.upper),
    "trim": _nullable(str.strip),
    "btrim": _nullable(str.strip),
    "abs": _nullable(abs),
    "mod": _nullable(operator.mod),
    "greatest": _nullable(max),
    "least": _nullable(min),
    "coalesce": _coalesce,
    "num_nonnulls": lambda *values: sum(each is not None for each in values),
    "num_nulls": lambda *values: sum(each is None for each in values),
    "cardinality": _nullable(len),
    "array_length": _nullable(lambda array, _: len(array) or None),
    "json_typeof": _nullable(_json_type),
    "jsonb_typeof": _nullable(_json_type),
}
