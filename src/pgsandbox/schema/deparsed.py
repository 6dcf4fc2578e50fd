"""Reads the server's deparsed texts: where a parenthesis ends, what it writes in two ways."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[()\[\],]")
_ARRAY = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\(ARRAY\[")
_TYPE = re.compile(
    r"::((?:character varying|double precision|bit varying|timestamp with(?:out)? time zone"
    r"|time with(?:out)? time zone|(?:\"(?:[^\"]|\"\")*\"|[\w.])+)(?:\([\d, ]+\))?)\[\]"
)

# Of a constant, which neither cast changes: a text compared with ANY of texts is written without.
_CONSTANT_CAST_TWICE = re.compile(
    r"\(('(?:[^']|'')*')::(?:character varying|text)\)::(character varying|text)\b(?!\()"
)


def end_of(text: str, start: int) -> int:
    """Return where the parenthesis or bracket that opens at *start* is closed."""
    depth = 0
    for found in _TOKEN.finditer(text, start):
        depth += (found[0] in "([") - (found[0] in ")]")
        if depth == 0:
            return found.start()
    return len(text)


def cast_by_element(text: str) -> str:
    """Return *text* with the cast of an array that is written out moved to its elements.

    ``status IN ('a', 'b')`` on a varchar is deparsed as ``ANY ((ARRAY['a'::character varying,
    ...])::text[])``. Reading that, as pg_restore does, the parser pushes the cast into the elements
    (parse_expr.c, ``transformArrayExpr``), and the same check is deparsed in another way.
    """
    start = _next_array(text, 0)
    while start >= 0:
        close = end_of(text, start)
        cast = _TYPE.match(text, close + 1)
        bracket = start + len("(ARRAY")
        if cast and end_of(text, bracket) == close - 1:
            elements = parts(text[bracket + 1 : close - 1])
            moved = ", ".join(f"({each})::{cast[1]}" for each in elements)
            text = f"{text[:start]}ARRAY[{moved}]{text[cast.end() :]}"
        start = _next_array(text, start + 1)
    return _CONSTANT_CAST_TWICE.sub(r"\1::\2", text)


def _next_array(text: str, start: int) -> int:
    """Return where the next array in parentheses begins that is in no constant, or -1."""
    for found in _ARRAY.finditer(text):
        if found[0] == "(ARRAY[" and found.start() >= start:
            return found.start()
    return -1


def parts(text: str) -> list[str]:
    """Return what stands between the outermost commas."""
    found_parts, depth, start = [], 0, 0
    for found in _TOKEN.finditer(text):
        depth += (found[0] in "([") - (found[0] in ")]")
        if found[0] == "," and depth == 0:
            found_parts.append(text[start : found.start()].strip())
            start = found.end()
    return [*found_parts, text[start:].strip()]
