"""The modes of a client's transaction: read only, deferrable, its level (manual, SET TRANSACTION).

The one transaction of a test has those that it began with, and no subtransaction can have others,
except that it only reads. So each client's are kept with its session. Where they only read, its
statements do so one by one; a statement that asks for another mode is sent in words that read a
parameter in its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from pgsandbox.sandbox.endpoint.lexer import without_literals
from pgsandbox.sandbox.endpoint.server import ServerConnection
from pgsandbox.sandbox.endpoint.sessions import ClientSession, Modes

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.settings import SessionSettings

READ_COMMITTED = "read committed"
_READ_UNCOMMITTED = "read uncommitted"  # which PostgreSQL runs as the former (manual, 13.2)
_OWN_SNAPSHOTS = frozenset({"repeatable read", "serializable"})
_SAVEPOINT = "pgsandbox_mode"


# -- of a transaction ---------------------------------------------------------------------------


def set_default_modes(session: ClientSession, settings: SessionSettings) -> None:
    """Give the transaction that begins what *session* has set for each of its own."""
    reads_only, is_deferrable = (
        settings.value(session, f"default_transaction_{name}") == "on"
        for name in ("read_only", "deferrable")
    )
    level = settings.value(session, "default_transaction_isolation")
    level = level if level == _READ_UNCOMMITTED else ""
    session.modes = Modes(reads_only, is_deferrable, level, session.modes.asked)


def set_modes(session: ClientSession, text: str) -> None:
    """Give the transaction of *session* what *text*, a BEGIN or SET TRANSACTION, asks for."""
    before = session.modes
    reads_only, is_deferrable = modes_of(text)
    reads_only = before.reads_only if reads_only is None else reads_only
    is_deferrable = before.is_deferrable if is_deferrable is None else is_deferrable
    level, asked = before.level, before.asked
    if (found := level_of(text)) is not None:
        level = "" if found == READ_COMMITTED else found
        asked = text.strip() if found in _OWN_SNAPSHOTS else ""
    session.modes = Modes(reads_only, is_deferrable, level, asked)


def give_modes(server: ServerConnection, session: ClientSession, text: str) -> str:
    """Let the coming statement, *text*, have those of its transaction; return what ends that."""
    for mode, value in modes_shown(session, text).items():
        server.queue(f"SET LOCAL {_setting_shown(mode)} = '{value}'")
    if session.modes.reads_only:
        server.queue(f"SAVEPOINT {_SAVEPOINT}; SET TRANSACTION READ ONLY")
        return f"RELEASE SAVEPOINT {_SAVEPOINT}"
    return ""


# -- in a text ----------------------------------------------------------------------------------


def modes_of(text: str) -> tuple[bool | None, bool | None]:
    """Return whether *text* asks for a read-only transaction, and for a deferrable one."""
    words = text.upper()
    if "TRANSACTION_" in words:  # SET transaction_read_only = on
        is_on = _ON.search(text) is not None
        return (is_on, None) if "READ_ONLY" in words else (None, is_on)
    if "READ" not in words and "DEFERRABLE" not in words:
        return None, None
    reads_only = [each == "ONLY" for each in _READ_MODE.findall(words)]
    deferrable = [not each for each in _DEFERRABLE.findall(words)]
    return reads_only[-1] if reads_only else None, deferrable[-1] if deferrable else None


def level_of(text: str) -> str | None:
    """Return the isolation level that *text* asks for, in the words that SHOW has for it."""
    found = _LEVEL.findall(text)
    return " ".join(found[-1].lower().split()) if found else None


def modes_shown(session: ClientSession, text: str) -> dict[str, str]:
    """Return the modes that only the transaction of *session* has, if *text* may read one."""
    modes = session.modes
    if not (modes.is_deferrable or modes.level) or not reads_mode(text):
        return {}
    deferrable = {"transaction_deferrable": "on"} if modes.is_deferrable else {}
    return deferrable | ({"transaction_isolation": modes.level} if modes.level else {})


def reads_mode(text: str) -> bool:
    """Whether *text* may read a mode of its transaction."""
    return mode_to_show(text) is not None or _READS_MODE.search(text) is not None


@lru_cache(maxsize=2048)
def mode_to_show(text: str) -> str | None:
    """Return the mode that *text* is to SHOW, which reaches the server in other words."""
    if not _SHOWS.search(text) or not (match := _SHOWS_MODE.match(without_literals(text))):
        return None
    return (match["name"] or "transaction_isolation").lower()


def with_modes_shown(text: str, modes: Mapping[str, str]) -> str:
    """Return *text* so that it reads *modes* where the server can have them."""
    if asked := mode_to_show(text):
        if asked not in modes:
            return text
        return f"SELECT current_setting('{_setting_shown(asked)}') AS {asked}"

    def other(match: re.Match[str]) -> str:
        if parameter := match["parameter"]:
            cases = " ".join(f"WHEN '{mode}' THEN '{_setting_shown(mode)}'" for mode in modes)
            return f"{match['before']}CASE lower({parameter}) {cases} ELSE {parameter} END"
        mode = match["name"].lower()
        return f"{match['before']}'{_setting_shown(mode)}'" if mode in modes else match[0]

    return _READS_MODE.sub(other, text)


def _setting_shown(mode: str) -> str:
    """Return the name of the parameter that holds, for a statement, what it is told of *mode*."""
    return f"pgsandbox.{mode}"


_ON = re.compile(r"(?:=|\bTO)\s*'?(?:on|true|yes|1|t|y)\b", re.IGNORECASE)
_READ_MODE = re.compile(r"\bREAD\s+(ONLY|WRITE)\b")
_DEFERRABLE = re.compile(r"\b(NOT\s+)?DEFERRABLE\b")
_LEVEL = re.compile(
    r"\bISOLATION\s+LEVEL\s+(SERIALIZABLE|REPEATABLE\s+READ|READ\s+(?:UN)?COMMITTED)\b",
    re.IGNORECASE,
)
_MODE = r"transaction_(?:isolation|deferrable)"
_SHOWS = re.compile(r"\bSHOW\s", re.IGNORECASE)
_SHOWS_MODE = re.compile(
    rf"\s*SHOW\s+(?:(?P<name>{_MODE})|TRANSACTION\s+ISOLATION\s+LEVEL)\s*;?\s*\Z", re.IGNORECASE
)
_READS_MODE = re.compile(
    rf"(?P<before>\bcurrent_setting\s*\(\s*)(?:E?'(?P<name>{_MODE})'|(?P<parameter>\$\d+))",
    re.IGNORECASE,
)
"""Where a text reads a mode of its transaction, or whatever a parameter of it names."""
