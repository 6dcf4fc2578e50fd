"""Statements that ask the server for what belongs to their own session, or tell it to others.

All clients share one session there, so its process id, its cursors, its prepared statements, its
locks and the channels that it listens to are not one client's. Such a statement is sent in other
words: the catalog's view is shadowed by a query of the same name, a call by an expression of the
same name. Both read what the endpoint knows of the client from parameters that it sets before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from pgsandbox.sandbox.endpoint import lexer

NAMED = re.compile(
    r"\b(?:pg_stat_activity|pg_locks|pg_cursors|pg_prepared_statements|pg_backend_pid"
    r"|pg_listening_channels|pg_notify|notify|lastval|currval|pg_terminate_backend)\b",
    re.IGNORECASE,
)
"""What a text has to hold for its statement to be sent in other words."""

_LEFT_ALONE = re.compile(
    r"\b(?:pg_cancel_backend|pg_blocking_pids|pg_stat_(?!activity)\w+)\b",
    re.IGNORECASE,
)
"""What takes, or gives, the process ids that the server itself knows."""
_QUERIES = frozenset({"select", "with", "insert", "update", "delete", "merge", "values", "table"})


@dataclass(frozen=True)
class Rewriting:
    """A text in other words."""

    text: str
    edits: tuple[tuple[int, int, int], ...]
    """Where each change begins in the new text, how long it is there, and how long it was."""

    def original(self, position: int) -> int:
        """Return where what stands at *position* of the new text stands in the old one; from 1."""
        shift = 0
        for begin, length, before in self.edits:
            if position - 1 < begin:
                break
            if position - 1 < begin + length:
                return begin - shift + 1
            shift += length - before
        return position - shift


def named_in(text: str) -> frozenset[str]:
    """Return what *text* names of `NAMED`, in lower case."""
    return frozenset(each.lower() for each in NAMED.findall(text))


@lru_cache(maxsize=512)
def rewriting_of(text: str) -> Rewriting | None:
    """Return *text*, of one statement, in other words; None if it can stay."""
    tokens = _significant(text)
    first = next((text[t.start : t.end].lower() for t in tokens if t.kind == "word"), "")
    if first == "do":
        return _of_block(text, tokens)
    if first not in _QUERIES or _LEFT_ALONE.search(text):
        return None
    edits, views = _edits_of(text, tokens, _CALLS)
    if views:
        begin, is_more = _place_for_queries(text, tokens)
        queries = ", ".join(f"{name} AS ({_VIEWS[name]})" for name in sorted(views))
        edits.insert(0, (begin, begin, f" {queries}, " if is_more else f"WITH {queries} "))
    return _applied(text, edits) if edits else None


def in_routine(source: str, *, is_sql: bool) -> str:
    """Return the *source* of a routine such that it writes down what it notifies."""
    tokens = _significant(source)
    edits, _ = _edits_of(source, tokens, {"pg_notify": _CALLS["pg_notify"]})
    edits += _notify_commands(source, tokens, "SELECT" if is_sql else "PERFORM")
    return _applied(source, sorted(edits)).text


_Edit = tuple[int, int, str]


def _significant(text: str) -> list[lexer.Token]:
    return [token for token in lexer.tokens(text) if token.kind != "comment"]


def _applied(text: str, edits: list[_Edit]) -> Rewriting:
    parts: list[str] = []
    changes = []
    position = length = 0
    for begin, end, new in edits:
        parts += [text[position:begin], new]
        length += begin - position
        changes.append((length, len(new), end - begin))
        length += len(new)
        position = end
    parts.append(text[position:])
    return Rewriting("".join(parts), tuple(changes))


def _of_block(text: str, tokens: list[lexer.Token]) -> Rewriting | None:
    """Return a DO in other words: its body is a string, of which dollar quotes are understood."""
    for token in tokens:
        literal = text[token.start : token.end]
        if token.kind == "string" and literal.startswith("$"):
            tag = literal.index("$", 1) + 1
            body = literal[tag:-tag]
            changed = in_routine(body, is_sql=False)
            if changed != body:
                inside = (token.start + tag, token.end - tag, changed)
                return _applied(text, [inside])
    return None


def _place_for_queries(text: str, tokens: list[lexer.Token]) -> tuple[int, bool]:
    words = [text[t.start : t.end].lower() for t in tokens[:2]]
    if words[0] != "with":
        return tokens[0].start, False
    return (tokens[1] if words[1:] == ["recursive"] else tokens[0]).end, True


def _edits_of(
    text: str, tokens: list[lexer.Token], calls: dict[str, Callable[[str], str]]
) -> tuple[list[_Edit], set[str]]:
    edits: list[_Edit] = []
    views: set[str] = set()
    skipped_to = 0
    for place, token in enumerate(tokens):
        name = text[token.start : token.end].lower()
        if token.kind != "word" or token.start < skipped_to:
            continue
        before, begin = _before(text, tokens, place)
        if before == ".":
            continue
        following = text[tokens[place + 1].start] if place + 1 < len(tokens) else ""
        if name in calls and following == "(":
            last = _closing(tokens, place + 1)
            if last is None:
                continue
            inside = text[tokens[place + 1].end : tokens[last].start]
            new = _as_item(text, tokens, last, name, calls[name](inside), before)
            edits.append((begin, tokens[last].end, new))
            skipped_to = tokens[last].end
        elif name in _VIEWS and calls is _CALLS and following != "(":
            views.add(name)
            if begin != token.start:
                edits.append((begin, token.start, ""))
    return edits, views


def _before(text: str, tokens: list[lexer.Token], place: int) -> tuple[str, int]:
    """Return the word before what stands at *place*, and where that begins with its schema."""
    words = [text[t.start : t.end].lower() for t in tokens[max(0, place - 3) : place]]
    if words[-2:] == ["pg_catalog", "."]:
        return (words[0] if len(words) == 3 else ""), tokens[place - 2].start
    return (words[-1] if words else ""), tokens[place].start


def _closing(tokens: list[lexer.Token], place: int) -> int | None:
    depth = 0
    for number in range(place, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[number].kind, 0)
        if depth == 0:
            return number
    return None


def _as_item(
    text: str, tokens: list[lexer.Token], last: int, name: str, new: str, before: str
) -> str:
    """Return *new* such that it stands where a function may stand among tables, too."""
    following = tokens[last + 1] if last + 1 < len(tokens) else None
    word = text[following.start : following.end].lower() if following else ""
    if before in ("from", "join"):
        is_named = following is not None and following.kind in ("word", "quoted")
        is_named = is_named and word not in _NO_ALIASES
        return f"LATERAL {new}" if is_named else f"LATERAL {new} AS {name}"
    if name == "pg_listening_channels":  # it returns a set, which a subquery in its place can't
        new = f"pg_catalog.json_array_elements_text({_setting('channels')}::json)"
        return f"{new} AS {name}" if before == "select" and word in ("", ";", ",", "from") else new
    return new


_NO_ALIASES = frozenset(
    {
        "where", "group", "order", "having", "limit", "offset", "fetch", "join", "left", "right",
        "full", "inner", "cross", "natural", "union", "except", "intersect", "for", "window",
        "on", "using", "returning", "with",
    }
)  # fmt: skip


def _arguments(inside: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for kind, begin, end in lexer.tokens(inside):
        depth += {"(": 1, ")": -1, "[": 1, "]": -1}.get(kind, 0)
        if kind == "," and depth == 0:
            parts.append(inside[start:begin])
            start = end
    return [*parts, inside[start:]]


# --------------------------------------------------------------------------- calls


_ME = "pg_catalog.pg_backend_pid()"


def _setting(name: str) -> str:
    return f"nullif(pg_catalog.current_setting('pgsandbox.{name}', true), '')"


def _notified(inside: str) -> str:
    given = _arguments(inside)
    if len(given) != 2:
        return f"pg_catalog.pg_notify({inside})"
    channel, payload = (_inner(each) for each in given)
    return (
        f"(SELECT pg_notify FROM (SELECT ({channel})::text AS pgsandbox_channel, ({payload})::text"
        " AS pgsandbox_payload OFFSET 0) AS pgsandbox_said CROSS JOIN LATERAL"
        " pg_catalog.set_config('pgsandbox.notified', concat("
        "pg_catalog.current_setting('pgsandbox.notified', true),"
        " pg_catalog.json_build_array(pgsandbox_channel, pgsandbox_payload), E'\\n'), false)"
        " AS pgsandbox_noted CROSS JOIN LATERAL"
        " pg_catalog.pg_notify(pgsandbox_channel, pgsandbox_payload) AS pg_notify)"
    )


def _inner(text: str) -> str:
    edits, _ = _edits_of(text, _significant(text), dict(_CALLS))
    return _applied(text, edits).text


def _pid(_: str) -> str:
    return f"(SELECT {_setting('pid')}::integer AS pg_backend_pid)"


def _ended(inside: str) -> str:
    given = _arguments(inside)
    if "=>" in inside or not 1 <= len(given) <= 2:
        return f"pg_catalog.pg_terminate_backend({inside})"
    pid, timeout = _inner(given[0]), ", ".join(["pgsandbox_pid", *given[1:]])
    return (
        f"(SELECT CASE WHEN {_setting('others')}::jsonb ? pgsandbox_pid::text"
        " THEN pg_catalog.set_config('pgsandbox.ended', pg_catalog.concat("
        "pg_catalog.current_setting('pgsandbox.ended', true), ' ', pgsandbox_pid), false)"
        " IS NOT NULL"
        f" WHEN pgsandbox_pid = {_setting('pid')}::integer"
        f" THEN pg_catalog.pg_terminate_backend({_ME})"
        f" ELSE pg_catalog.pg_terminate_backend({timeout}) END AS pg_terminate_backend"
        f" FROM (SELECT ({pid})::integer AS pgsandbox_pid OFFSET 0) AS pgsandbox_who)"
    )


def _channels(_: str) -> str:
    return (
        "(SELECT pg_catalog.json_array_elements_text("
        f"{_setting('channels')}::json) AS pg_listening_channels)"
    )


def _lastval(_: str) -> str:
    return f"(SELECT coalesce({_setting('lastval')}::bigint, pg_catalog.lastval()) AS lastval)"


def _currval(inside: str) -> str:
    key = f"(({inside})::text::regclass::oid::text)"
    known = f"{_setting('currval')}::jsonb"
    return (
        f"(SELECT CASE WHEN {_setting('currval')} IS NULL THEN pg_catalog.currval({inside}) "
        f"WHEN {known} ? {key} THEN ({known} ->> {key})::bigint "
        "ELSE ('currval of this sequence is not yet defined in this session' || "
        f"left({key}, 0))::bigint END AS currval)"
    )


_CALLS: dict[str, Callable[[str], str]] = {
    "pg_notify": _notified,
    "pg_backend_pid": _pid,
    "pg_terminate_backend": _ended,
    "pg_listening_channels": _channels,
    "lastval": _lastval,
    "currval": _currval,
}


def _notify_commands(source: str, tokens: list[lexer.Token], word: str) -> list[_Edit]:
    """Return the NOTIFY commands of a routine as calls."""
    edits: list[_Edit] = []
    for place, token in enumerate(tokens):
        if source[token.start : token.end].lower() != "notify" or place + 2 > len(tokens):
            continue
        before = source[tokens[place - 1].start : tokens[place - 1].end].lower() if place else ";"
        if before not in _BEFORE_COMMANDS or tokens[place + 1].kind not in ("word", "quoted"):
            continue
        rest = tokens[place + 1 :]
        end = next((n for n, each in enumerate(rest) if each.kind == ";"), len(rest))
        name = source[rest[0].start : rest[0].end]
        channel = name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
        payload = source[rest[2].start : rest[2].end] if end == 3 else "''"
        literal = "'" + channel.replace("'", "''") + "'"
        stop = rest[end - 1].end
        edits.append((token.start, stop, f"{word} {_notified(f'{literal}, {payload}')}"))
    return edits


_BEFORE_COMMANDS = frozenset({";", "begin", "then", "else", "loop", ">"})

# --------------------------------------------------------------------------- views

_VIEWS = {
    "pg_stat_activity": (
        "SELECT pgsandbox_a.* FROM pg_catalog.pg_stat_activity pgsandbox_a"
        f" WHERE pid IS DISTINCT FROM {_ME} AND application_name IS DISTINCT FROM 'pgsandbox locks'"
        " UNION ALL SELECT (pg_catalog.jsonb_populate_record(pgsandbox_a, pgsandbox_c)).*"
        " FROM pg_catalog.pg_stat_activity pgsandbox_a,"
        f" pg_catalog.jsonb_array_elements({_setting('clients')}::jsonb) pgsandbox_c"
        f" WHERE pid = {_ME}"
    ),
    "pg_locks": (
        "SELECT pgsandbox_l.* FROM pg_catalog.pg_locks pgsandbox_l"
        f" WHERE pid IS DISTINCT FROM {_ME} AND pid IS DISTINCT FROM {_setting('holder')}::integer"
        " UNION ALL SELECT (pg_catalog.jsonb_populate_record(pgsandbox_l,"
        f" pg_catalog.jsonb_build_object('pid', {_setting('pid')}::integer))).*"
        f" FROM pg_catalog.pg_locks pgsandbox_l WHERE pid = {_ME} AND locktype <> 'advisory'"
        " UNION ALL SELECT (pg_catalog.jsonb_populate_record(NULL::pg_catalog.pg_locks, pgsandbox_l"
        " || pg_catalog.jsonb_build_object('database', (SELECT oid FROM pg_catalog.pg_database"
        " WHERE datname = pg_catalog.current_database())))).*"
        f" FROM pg_catalog.jsonb_array_elements({_setting('locks')}::jsonb) pgsandbox_l"
    ),
    "pg_prepared_statements": (
        "SELECT pgsandbox_p.* FROM pg_catalog.pg_prepared_statements pgsandbox_p"
        f" WHERE {_setting('prepared')}::jsonb ? name"
    ),
    "pg_cursors": (
        "SELECT (pg_catalog.jsonb_populate_record(pgsandbox_c,"
        f" pg_catalog.jsonb_build_object('name', coalesce({_setting('cursors')}::jsonb"
        " ->> name, name)))).* FROM pg_catalog.pg_cursors pgsandbox_c"
        f" WHERE {_setting('cursors')}::jsonb ->> name IS DISTINCT FROM ''"
        " AND name NOT LIKE 'pgsandbox%'"
    ),
}
