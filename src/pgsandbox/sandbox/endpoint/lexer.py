"""Where the statements of one SQL text begin and end, by the server's lexical rules.

A simple query may hold several statements, and transaction control among them. They are told apart
as the server's own scanner does it (PostgreSQL manual, 4.1): semicolons in strings, quoted
identifiers, dollar quotes, comments (which nest), parentheses and bodies of ``BEGIN ATOMIC`` end
nothing. A text that is not SQL at all stays whole, and the server says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Token(NamedTuple):
    """One lexical element that is not whitespace."""

    kind: str
    """``word``, ``quoted``, ``string``, ``comment``, or the character itself."""
    start: int
    end: int


_LETTER = r"[^\x00-@\[-^`{-\x7f]"
"""Whatever is not ASCII is a letter to the server (``ident_start`` in its scan.l), and so is ``_``.

Said by what is none, for a set of all those letters takes `re` 8 ms to compile.
"""
_LETTER_OR_DIGIT = r"[^\x00-/:-@\[-^`{-\x7f]"
_PART_OF_WORD = r"[^\x00-#%-/:-@\[-^`{-\x7f]"
"""A letter, a digit or ``$``."""
_ESCAPED = r"[^'\\]*(?:(?:\\.|'')[^'\\]*)*"
_CONTINUED = r"[ \t\f\v]*(?:--[^\r\n]*)?[\r\n](?:[ \t\r\n\f\v]|--[^\r\n]*[\r\n])*"
"""What may stand between the parts of one string (manual, 4.1.2.1)."""
_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n\f\v]+)"
    rf"|(?P<escaped>[eE]'{_ESCAPED}(?:'{_CONTINUED}'{_ESCAPED})*(?:'|\Z))"
    rf"|(?P<word>{_LETTER}{_PART_OF_WORD}*)"
    r"|(?P<string>'[^']*(?:''[^']*)*(?:'|\Z))"
    r'|(?P<quoted>"[^"]*(?:""[^"]*)*(?:"|\Z))'
    rf"|(?P<dollar>\$(?P<tag>(?:{_LETTER}{_LETTER_OR_DIGIT}*)?)\$.*?(?:\$(?P=tag)\$|\Z))"
    r"|(?P<line>--[^\r\n]*)"
    r"|(?P<block>/\*)"
    r"|(?P<number>[0-9][\w.]*|\$[0-9]+)"
    r"|(?P<other>.)",
    re.DOTALL,
)
_BACKSLASHED = re.compile(
    _TOKEN.pattern.replace("(?P<escaped>[eE]'", "(?P<escaped>[eE]?'"), re.DOTALL
)
"""The same with ``standard_conforming_strings`` off: every string has escapes."""
_STRINGS = frozenset({"escaped", "string", "dollar"})
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_ROUTINE = re.compile(r"create(?:\s+or\s+replace)?\s+(?:function|procedure)\b", re.IGNORECASE)


def tokens(text: str, *, has_escapes: bool = False) -> Iterator[Token]:
    """Yield what *text* consists of, without whitespace.

    It *has_escapes* in strings of every kind where ``standard_conforming_strings`` is off.
    """
    position, length = 0, len(text)
    pattern = _BACKSLASHED if has_escapes else _TOKEN
    while position < length:
        match = pattern.match(text, position)
        assert match is not None  # the last alternative takes any character
        kind, end = match.lastgroup or "other", match.end()
        if kind == "block":
            end = _end_of_comment(text, end)
            yield Token("comment", position, end)
        elif kind == "line":
            yield Token("comment", position, end)
        elif kind in _STRINGS or match["dollar"] is not None:
            yield Token("string", position, end)
        elif kind == "other":
            yield Token(text[position], position, end)
        elif kind != "space":
            yield Token(kind, position, end)
        position = end


def _end_of_comment(text: str, position: int) -> int:
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(text, position)
        if edge is None:
            return len(text)
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return position


def statements(text: str, *, has_escapes: bool = False) -> list[tuple[int, str]]:  # noqa: C901  # one loop
    """Return each statement of *text* with the number of characters before it; empty ones not."""
    if ";" not in text:
        return [(0, text)] if _has_content(text) else []
    found: list[tuple[int, str]] = []
    start, depth, blocks, is_routine, is_begun = 0, 0, 0, False, False
    for kind, begin, end in tokens(text, has_escapes=has_escapes):
        if kind == ";" and depth <= 0 and blocks == 0:
            if is_begun:
                found.append((start, text[start:begin]))
            start, depth, is_begun = end, 0, False
            continue
        if kind == "comment":
            continue
        if not is_begun:
            is_begun, start = True, begin
            is_routine = _ROUTINE.match(text, begin) is not None
        if kind == "(":
            depth += 1
        elif kind == ")":
            depth -= 1
        elif kind == "word" and is_routine:
            blocks += _nesting(text[begin:end].lower(), blocks)
    if is_begun:
        found.append((start, text[start:]))
    return found


def _nesting(word: str, blocks: int) -> int:
    """Return by how much *word* deepens the body of an SQL routine, as psql counts it."""
    if word == "begin" or (word == "case" and blocks):
        return 1
    return -1 if word == "end" and blocks else 0


def _has_content(text: str) -> bool:
    if not text or text.isspace():
        return False
    if "--" not in text and "/*" not in text:
        return True
    return any(token.kind != "comment" for token in tokens(text))


def without_literals(text: str, *, has_escapes: bool = False) -> str:
    """Return *text* with a space for each comment and ``''`` for each string."""
    if not any(each in text for each in ("'", "$", "--", "/*")):
        return text
    if len(text) < LONG and not _needs_tokens(text):
        return _PLAIN_STRING.sub("''", text)
    parts, position = [], 0
    for kind, begin, end in tokens(text, has_escapes=has_escapes):
        if kind in ("comment", "string"):
            parts += [text[position:begin], " " if kind == "comment" else "''"]
            position = end
    parts.append(text[position:])
    return "".join(parts)


def without_long_literals(text: str, *, has_escapes: bool = False) -> str:
    """Return *text* with ``''`` for each string of values: a long one that no dollars enclose."""
    parts, position = [], 0
    for kind, begin, end in tokens(text, has_escapes=has_escapes):
        if kind == "string" and end - begin > _SHORT and text[begin] != "$":
            parts += [text[position:begin], "''"]
            position = end
    parts.append(text[position:])
    return "".join(parts)


def _needs_tokens(text: str) -> bool:
    """Whether a quotation mark of *text* may be something else than the edge of a plain string."""
    if any(each in text for each in ("$", '"', "\\", "--", "/*")):
        return True
    return ("e'" in text or "E'" in text) and _ESCAPED_STRING.search(text) is not None


LONG = 20_000
"""Characters of a text that consists of values for the most part."""
_SHORT = 200
_PLAIN_STRING = re.compile(r"'[^']*(?:''[^']*)*(?:'|\Z)")
_ESCAPED_STRING = re.compile(r"\b[eE]'")


def split_arguments(text: str) -> tuple[str, str] | None:
    """Return what stands in the parentheses that *text* begins with, and what follows them."""
    depth = 0
    for kind, begin, end in tokens(text):
        if kind == "(":
            depth += 1
        elif kind == ")":
            depth -= 1
            if depth == 0:
                return text[text.index("(") + 1 : begin], text[end:]
        elif depth == 0:
            return None
    return None
