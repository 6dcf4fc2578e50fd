"""Run-time parameters (SET) of connections that share one physical connection.

On a server each session has its own, and SET LOCAL ends with its transaction. Here one session
serves them all, so before a statement each logical connection gets back the values that it would
have by itself. A test in which nobody sets anything pays nothing for this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from pgsandbox.sandbox.frames import LogicalConnection
from pgsandbox.sandbox.physical import Physical


@dataclass
class _Values:
    """What one connection has set."""

    session: dict[str, str] = field(default_factory=dict)
    """By SET: until it is set again."""
    local: dict[str, str] = field(default_factory=dict)
    """By SET LOCAL: until the transaction ends."""

    def copy(self) -> _Values:
        """Return the same values, for going back to them."""
        return _Values(dict(self.session), dict(self.local))


@dataclass(frozen=True)
class _Setting:
    name: str
    is_local: bool


class Parameters:
    """Who has set what, on one physical connection."""

    def __init__(self, physical: Physical, beneath: Parameters | None = None) -> None:
        self._physical = physical
        self._untouched: dict[str, str] = dict(beneath._untouched) if beneath else {}
        """Of each parameter that somebody set, the value that it had before."""
        self._in_force: LogicalConnection | None = None
        """Whose values the physical connection has; None if they have to be set again."""
        self._values: dict[LogicalConnection, _Values] = {}
        self._earlier: dict[LogicalConnection, list[tuple[int, _Values]]] = {}
        """Per connection, what held before each change since its transaction began.

        With each stands how many savepoints the application had set then.
        """

    @property
    def are_touched(self) -> bool:
        """Whether anybody has set any."""
        return bool(self._untouched)

    def inherit(
        self, connection: LogicalConnection, other: Parameters, origin: LogicalConnection
    ) -> None:
        """Give *connection* what *origin* has set, whose transaction stands beneath."""
        values = other._values.get(origin)
        if values is not None:
            self._values[connection] = values.copy()

    def prepare(self, connection: LogicalConnection, text: str) -> None:
        """Give *connection* its own values, and remember what *text* is about to change."""
        if self._untouched and self._in_force is not connection:
            own = self._values.get(connection, _Values())
            self._set({**self._untouched, **own.session, **own.local})
            self._in_force = connection
        for setting in _settings(text):
            if setting.name not in self._untouched:
                self._untouched[setting.name] = self._read(setting.name)
                self._in_force = connection

    def learn(self, connection: LogicalConnection, text: str) -> None:
        """Ask the server what *text*, which *connection* has sent, has set."""
        for setting in _settings(text):
            values = self._values.setdefault(connection, _Values())
            before = (connection.savepoints(), values.copy())
            self._earlier.setdefault(connection, []).append(before)
            value = self._read(setting.name)
            if setting.is_local:
                values.local[setting.name] = value
            else:
                values.local.pop(setting.name, None)
                values.session[setting.name] = value

    def undone(self) -> None:
        """The server has gone back to a savepoint, and to the values that held there."""
        self._in_force = None

    def committed(self, connection: LogicalConnection) -> None:
        """What *connection* set stays, and what it set locally ends."""
        if self._earlier.pop(connection, None) and self._values[connection].local:
            self._values[connection].local.clear()
            self._in_force = None

    def rolled_back(self, connection: LogicalConnection, *, to: int = 0) -> None:
        """Everything that *connection* set since it had *to* savepoints is undone."""
        earlier = self._earlier.get(connection, [])
        while earlier and earlier[-1][0] >= to:
            self._values[connection] = earlier.pop()[1]
            self._in_force = None

    def released(self, connection: LogicalConnection, *, to: int) -> None:
        """*connection* has *to* savepoints left; what it set in others belongs to the last."""
        earlier = self._earlier.get(connection, [])
        earlier[:] = [(min(savepoints, to), values) for savepoints, values in earlier]

    def _set(self, values: dict[str, str]) -> None:
        calls = ", ".join(
            f"set_config({quoted(name)}, {quoted(value)}, false)" for name, value in values.items()
        )
        self._physical.rows(f"SELECT {calls}")

    def _read(self, name: str) -> str:
        value = self._physical.rows(f"SELECT current_setting({quoted(name)}, true)")[0][0]
        return value or ""


@lru_cache(maxsize=2048)
def _settings(text: str) -> tuple[_Setting, ...]:
    """Return what *text* sets, as far as its words show it."""
    if not _MAY_SET.search(text):
        return ()
    found = []
    for match in _SET.finditer(text):
        name = match["name"] or _SPECIAL[" ".join(match["special"].lower().split())]
        found.append(_Setting(name.strip('"').lower(), (match["scope"] or "").upper() == "LOCAL"))
    for match in _SET_CONFIG.finditer(text):
        name = match["name"].replace("''", "'").lower()
        found.append(_Setting(name, match["local"].lower() == "t"))
    return tuple(found)


def parse_options(options: str) -> dict[str, str]:
    """Return the parameters that a connection's *options* set (PostgreSQL manual, 20.1.4)."""
    words = [re.sub(r"\\(.)", r"\1", word) for word in _WORD.findall(options)]
    found = {}
    for word, following in pairwise([*words, ""]):
        assignment = following if word == "-c" else word[2:] if word[:2] in ("-c", "--") else ""
        name, equals, value = assignment.partition("=")
        if equals:
            found[name.replace("-", "_")] = value
    return found


def quoted(value: str) -> str:
    """Return *value* as a literal of SQL, whatever it holds."""
    return "'" + value.replace("'", "''") + "'" if "\\" not in value else _escaped(value)


def _escaped(value: str) -> str:
    return "E'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


_WORD = re.compile(r"(?:\\.|[^\s\\])+")
_MAY_SET = re.compile(r"\b(?:SET|RESET|SET_CONFIG)\b", re.IGNORECASE)
_SPECIAL = {
    "time zone": "timezone",
    "role": "role",
    "session authorization": "session_authorization",
    "schema": "search_path",
}
_SET = re.compile(
    r"(?:^|;)\s*(?:SET\s+(?:(?P<scope>SESSION|LOCAL)\s+)?|RESET\s+)"
    r"(?:(?P<special>TIME\s+ZONE|ROLE|SESSION\s+AUTHORIZATION|SCHEMA)\b"
    r'|(?P<name>"?(?!transaction_)[A-Za-z_][\w.$]*"?)(?=\s*=|\s+TO\b|\s*;|\s*$))',
    re.IGNORECASE,
)
_SET_CONFIG = re.compile(
    r"\bset_config\s*\(\s*'(?P<name>(?:[^']|'')+)'(?:::\w+)?\s*,"
    r"\s*(?:E?'(?:[^']|'')*'|[^',]+)(?:::[\w ]+)?\s*,\s*'?(?P<local>[tf])",
    re.IGNORECASE,
)
