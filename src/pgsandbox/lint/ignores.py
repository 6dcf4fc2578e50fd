"""The comments that switch a rule off for one place: ``# pgsandbox: ignore[PGS101] reason``."""

from __future__ import annotations

import io
import re
import tokenize
from dataclasses import dataclass

from pgsandbox.lint.source import Source

_COMMENT = re.compile(r"#\s*pgsandbox:\s*ignore\b\s*(?:\[(?P<codes>[^\]]*)\])?(?P<reason>[^#]*)")
_SEPARATORS = " \t-:,;."


@dataclass(frozen=True)
class Ignore:
    """One such comment."""

    line: int
    """The line it stands on."""
    column: int
    """Its column, counted in characters from 1."""
    codes: tuple[str, ...]
    """The rules that it names."""
    reason: str
    """Why, in its author's words."""
    is_alone: bool
    """Whether nothing else stands on its line: then it is about the next one."""

    def covers(self, first: int, last: int) -> bool:
        """Whether it is about what stands on the lines *first* to *last*."""
        return first <= self.line <= last or (self.is_alone and self.line == first - 1)


def ignores_in(source: Source) -> list[Ignore]:
    """Return the ignore comments of *source*; what stands in a string is none."""
    if "pgsandbox:" not in source.text:
        return []
    found = []
    for token in _tokens(source.text):
        match = _COMMENT.search(token.string) if token.type == tokenize.COMMENT else None
        if match:
            line, column = token.start
            codes = (code.strip() for code in (match["codes"] or "").split(","))
            found.append(
                Ignore(
                    line=line,
                    column=column + match.start() + 1,
                    codes=tuple(code for code in codes if code),
                    reason=match["reason"].strip(_SEPARATORS),
                    is_alone=not token.line[:column].strip(),
                )
            )
    return found


def _tokens(text: str) -> list[tokenize.TokenInfo]:
    tokens = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            tokens.append(token)  # noqa: PERF402 what was read before an error counts
    except (tokenize.TokenError, SyntaxError):
        # The parser has accepted the file; whatever the tokenizer minds is at its end.
        pass
    return tokens
