"""May this text be shown? A wrong yes shows a password, so that doubt hides too much.

``masked`` is for what a person wrote where a URL belongs: URLs of every spelling, parsed or not,
libpq's ``key=value`` strings, values of settings, and messages about these. ``masked_sql`` is for
all other text, statements above all: it hides what is certainly meant as a password and leaves the
rest readable. Both never raise, and masking twice changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

_STARS = "***"
_Range = tuple[int, int]


def masked(url: object) -> str:
    """Return *url* with ``***`` for whatever may belong to a password in it.

    That is what stands between the first colon after the scheme and the last ``@`` or ``%40``;
    where there is neither, what stands in the port's place and is no port; the values of options
    and keywords that are named like a secret or hold one; and what ``masked_sql`` hides.
    """
    text = str(url)
    return _hidden(text, (*_in_a_url(text), *_keywords(text, is_sql=False), *_in_sql(text)))


def masked_place(place: object) -> str:
    """Return *place*, a host with its port, without what an unescaped ``@`` made a part of it."""
    text = str(place)
    ends = [found.start() for found in _AT.finditer(text)]
    return f"{_STARS}{text[ends[-1] :]}" if ends else text


def masked_sql(text: object) -> str:
    """Return *text* with ``***`` for the passwords in it, as in ``ALTER ROLE app PASSWORD '...'``.

    In statements that set passwords, all that is quoted after the word is hidden.
    """
    said = str(text)
    return _hidden(said, _in_sql(said))


def masked_value(name: str, value: str) -> str:
    """Return *value*, or ``***`` where *name*, of its column, is that of a secret.

    `masked_sql` finds the end of a value only where it is quoted.
    """
    return _STARS if _SECRET.search(name) else value


def _hidden(text: str, ranges: Iterable[_Range]) -> str:
    parts, shown_to = [], 0
    for start, end in _united(sorted(ranges)):
        parts += [text[shown_to:start], _STARS]
        shown_to = end
    return "".join([*parts, text[shown_to:]])


def _united(ranges: Iterable[_Range]) -> Iterator[_Range]:
    """The sorted *ranges* without the empty ones, overlapping and touching ones made one."""
    open_start = open_end = -1
    for start, end in ranges:
        if start == end:
            continue
        if start > open_end:
            if open_end >= 0:
                yield open_start, open_end
            open_start = start
        open_end = max(open_end, end)
    if open_end >= 0:
        yield open_start, open_end


# ------------------------------------------------------------------------------------- URLs

_WORDS = r"pass|pwd|secret|token|(?:api|access|private|signing|encryption|master)[_.-]?key"
_SECRET = re.compile(_WORDS, re.IGNORECASE)
# As SQLCipher names what it encrypts with.
_CIPHER_KEY = re.compile(r"(?:hex|text)?key", re.IGNORECASE)
# The colon may have been forgotten, or one of the slashes.
_SCHEME = re.compile(
    r"(?<![\w+.-])[A-Za-z][\w+.-]*:/{1,2}|(?<![^\s'\"(=])[A-Za-z][\w+.-]*//|://|\A//", re.ASCII
)
_STATEMENT = re.compile(
    r"\s*(?:alter|call|comment|copy|create|delete|do|drop|grant|insert|select|set|truncate|update"
    r"|values|with)\s",
    re.IGNORECASE,
)
_AT = re.compile("@|%(?:25)*40")
_ADDRESS = re.compile(r"[^/?#\s'\"]*")
_SLASH = re.compile("[/?#]")
_PORT = re.compile(r"\d*(?:,[\w.-]*:\d*)*|\$\{?\w*PORT\w*\}?|\*\*\*", re.ASCII)
_OPTION_OF_A_QUERY = re.compile("[?&]([^=&]*)=")
# A raw "&" in a password: what follows it is no option.
_VALUE_IN_A_QUERY = re.compile(r"[^&]*(?:&(?![\w.%-]+=)[^&]*)*", re.ASCII)


def _in_a_url(text: str) -> Iterator[_Range]:
    """Where passwords may stand in *text*, which is a URL or says something about one."""
    scheme = _SCHEME.search(text)
    if scheme and _AT.search(text, 0, scheme.start()):
        scheme = None  # what looks like one belongs to the address, or to an option
    if not scheme and _STATEMENT.match(text):
        return  # where colons and @ mean something else
    start = _colon(text, scheme.end() if scheme else 0)
    slash = _SLASH.search(text, scheme.end()) if scheme else None
    if slash and slash.end() <= text.rfind("@") and not 0 <= start < slash.end():
        start = slash.end()  # written for the colon, or in a password without one
    end = max((found.start() for found in _AT.finditer(text)), default=-1)
    if start >= 0 and start <= end:
        yield start, end
    elif scheme and start >= 0:
        place = _ADDRESS.match(text, start)
        if place and not _PORT.fullmatch(place[0]):
            yield place.span()
    yield from _in_a_query(text)


def _colon(text: str, start: int) -> int:
    """Where the first colon from *start* ends that is not in the brackets of an address."""
    bracket = re.compile(r"\[[0-9A-Fa-f:.%\w]*\]").match(text, start)
    return text.find(":", bracket.end() if bracket else start) + 1 or -1


def _in_a_query(text: str) -> Iterator[_Range]:
    for option in _OPTION_OF_A_QUERY.finditer(text):
        value = _VALUE_IN_A_QUERY.match(text, option.end())
        name = option[1]
        if value and (_is_secret(name) or _CIPHER_KEY.fullmatch(name) or _is_secret(value[0])):
            yield value.span()


def _is_secret(text: str) -> bool:
    # Escaped once by whoever wrote the URL, and once more by what took it apart.
    return bool(_SECRET.search(unquote(unquote(text))))


# ---------------------------------------------------------------------------------- keywords

_KEYWORD = re.compile(r"(?<![\w.?&])([\w.]+)\s*=\s*", re.ASCII)
_QUOTED_VALUE = re.compile(r"'(?:[^'\\]|\\.)*'(?=\s|$)", re.DOTALL)
_BARE_VALUE = re.compile(r".*?(?=\s+\w+\s*=|\Z)", re.DOTALL | re.ASCII)
_LITERAL = re.compile(
    r"(?:[EU]&?)?'(?:''|\\.|[^'])*(?:'|\Z)|\$(\w*)\$.*?(?:\$\1\$|\Z)", re.DOTALL | re.IGNORECASE
)
_BARE_IN_SQL = re.compile(r"[^\s,;)'\"]+")
_PLACEHOLDER = re.compile(r"(?:%\(\w+\)s|%s|\$\d+|:\w+|\?)(?=[\s,;)]|\Z)")


def _keywords(text: str, *, is_sql: bool) -> Iterator[_Range]:
    """The values of ``password=...`` and the like: to the next keyword, or to the next word."""
    for keyword in _KEYWORD.finditer(text):
        if is_sql:
            if _SECRET.search(keyword[1]):
                yield from _value_in_sql(text, keyword.end())
            continue
        value = _QUOTED_VALUE.match(text, keyword.end()) or _BARE_VALUE.match(text, keyword.end())
        if value and (_SECRET.search(keyword[1]) or _holds_a_secret(keyword[1], value[0])):
            is_unclosed = value[0].startswith("'") and not value[0].rstrip().endswith("'")
            yield value.start(), len(text) if is_unclosed else value.end()


def _holds_a_secret(name: str, value: str) -> bool:
    """Whether *value* is libpq's ``options`` with a secret among them."""
    return name == "options" and _is_secret(value)


def _value_in_sql(text: str, start: int) -> Iterator[_Range]:
    if not _PLACEHOLDER.match(text, start):
        value = _LITERAL.match(text, start) or _BARE_IN_SQL.match(text, start)
        if value:
            yield value.span()


# --------------------------------------------------------------------------------------- SQL

_GAP = r"(?:\s|/\*.*?\*/|--[^\n]*\n)*"
_SETS_A_PASSWORD = re.compile(
    r"\b(?:create|alter)\s+(?:role|user|group|subscription|server|system|database)\b|\bset_config\b"
    r"|\bdblink|\bpgp_(?:sym|pub)_\w+|\b(?:set|do|execute)\b",
    re.IGNORECASE,
)
_PASSWORD_WORD = re.compile(
    rf"\b(?:[\w.]*(?:password|passwd|{_WORDS.removeprefix('pass|')})|pgp_(?:sym|pub)_)\w*\b",
    re.IGNORECASE,
)
_QUOTE = re.compile(r"'|\$\w*\$")
_PASSWORD_CLAUSE = re.compile(
    rf"\bpassword\"?{_GAP}((?:[EU]&?)?'(?:''|\\.|[^'])*(?:'|\Z)|\$(\w*)\$.*?(?:\$\2\$|\Z))",
    re.DOTALL | re.IGNORECASE,
)
_SETS_TO = re.compile(rf"\bset\s[\s\w.\"]*(?:{_WORDS})[\w.\"]*\s+to\s+([^\s;'$]+)", re.IGNORECASE)
_URL_IN_TEXT = re.compile(r"\b[\w+.-]+(?::/{1,2}|//)[^\s'\"<>]+", re.ASCII)
_PAIR = re.compile(
    rf"(['\"])\w*(?:{_WORDS})\w*\1\s*:\s*(?:b?(['\"])(.*?)\2(?=[\s,)}}\]]|\Z))",
    re.DOTALL | re.IGNORECASE,
)
# As libpq, psycopg and Python put what they took for a host or a port between quotes.
_NO_HOST = re.compile(r"\b(?:host|host name|server at|port)\s*[:=]?\s*(['\"])(.*)(?=@|%40)")
_NO_PORT = re.compile(
    r"invalid (?:literal for int\(\) with base \d+: |port number: )(['\"].*['\"])"
)


def _in_sql(text: str) -> Iterator[_Range]:
    """Where passwords stand in *text*, which is a statement, or may quote one or a URL."""
    for url in _URL_IN_TEXT.finditer(text):
        yield from ((url.start() + a, url.start() + b) for a, b in _in_a_url(url[0]))
    for clause in _PASSWORD_CLAUSE.finditer(text):
        yield clause.span(1)
    yield from _keywords(text, is_sql=True)
    for found in _SETS_TO.finditer(text):
        yield found.span(1)
    for found in (*_NO_HOST.finditer(text), *_PAIR.finditer(text)):
        yield found.span(found.re.groups)
    for found in _NO_PORT.finditer(text):
        yield found.span(1)
    kind = _SETS_A_PASSWORD.search(text)
    word = _PASSWORD_WORD.search(text, kind.start()) if kind else None
    if word:
        yield from _all_quoted(text, word.end())


def _all_quoted(text: str, start: int) -> Iterator[_Range]:
    """From the first quote to the last one, whichever of them open and which close."""
    quotes = list(_QUOTE.finditer(text, start))
    if quotes and quotes[0][0] == "'" and _is_inside(text, start):
        quotes = quotes[1:]  # the end of the literal that holds the word itself
    if quotes:
        begins = quotes[0].start()
        before = re.compile(r"[EU]&?\Z", re.IGNORECASE).search(text, start, begins)
        # Of two kinds one stands inside of the other, or the text was cut there.
        is_closed = len(quotes) % 2 == 0 and quotes[0][0] == quotes[-1][0]
        yield (before or quotes[0]).start(), quotes[-1].end() if is_closed else len(text)


def _is_inside(text: str, position: int) -> bool:
    """Whether *position* is inside of a literal."""
    return text.count("'", 0, position) % 2 == 1
