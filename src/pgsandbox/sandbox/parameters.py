"""Run-time parameters (SET) of connections that share one physical connection.

On a server each session has its own, and SET LOCAL ends with its transaction. Here one session
serves them all, so before a statement each logical connection gets back the values that it would
have by itself. A test in which nobody sets anything pays nothing for this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pgsandbox.sandbox.physical import Physical
from pgsandbox.sandbox.savepoints import LogicalConnection


@dataclass
class Values:
    """What one connection has set."""

    session: dict[str, str] = field(default_factory=dict)
    """By SET: until it is set again."""
    local: dict[str, str] = field(default_factory=dict)
    """By SET LOCAL: until the transaction ends."""

    def copy(self) -> Values:
        """Return the same values, for going back to them."""
        return Values(dict(self.session), dict(self.local))


@dataclass(frozen=True)
class _Setting:
    name: str
    is_local: bool


class Parameters:
    """Who has set what, on one physical connection."""

    def __init__(self, physical: Physical) -> None:
        self._physical = physical
        self._untouched: dict[str, str] = {}
        """Of each parameter that somebody set, the value that it had before."""
        self._in_force: LogicalConnection | None = None
        """Whose values the physical connection has; None if they have to be set again."""
        self._values: dict[LogicalConnection, Values] = {}
        self._earlier: dict[LogicalConnection, list[tuple[int, Values]]] = {}
        """Per connection, what held before each change since its transaction began.

        With each stands how many savepoints the application had set then.
        """

    def prepare(self, connection: LogicalConnection, text: str) -> None:
        """Give *connection* its own values, and remember what *text* is about to change."""
        if self._untouched and self._in_force is not connection:
            own = self._values.get(connection, Values())
            self._set({**self._untouched, **own.session, **own.local})
            self._in_force = connection
        for setting in _settings(text):
            if setting.name not in self._untouched:
                self._untouched[setting.name] = self._read(setting.name)
                self._in_force = connection

    def learn(self, connection: LogicalConnection, text: str) -> None:
        """Ask the server what *text*, which *connection* has sent, has set."""
        for setting in _settings(text):
            values = self._values.setdefault(connection, Values())
            depth = _savepoints(connection)
            self._earlier.setdefault(connection, []).append((depth, values.copy()))
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

    def rolled_back(self, connection: LogicalConnection, depth: int = 0) -> None:
        """Everything that *connection* set since it had *depth* savepoints is undone."""
        earlier = self._earlier.get(connection, [])
        while earlier and earlier[-1][0] >= depth:
            self._values[connection] = earlier.pop()[1]

    def released(self, connection: LogicalConnection, depth: int) -> None:
        """What *connection* set since its savepoint number *depth* belongs to the one below."""
        earlier = self._earlier.get(connection, [])
        earlier[:] = [(min(there, depth), values) for there, values in earlier]

    def _set(self, values: dict[str, str]) -> None:
        calls = ", ".join(
            f"set_config({_quoted(name)}, {_quoted(value)}, false)"
            for name, value in values.items()
        )
        self._physical.rows(f"SELECT {calls}")

    def _read(self, name: str) -> str:
        value = self._physical.rows(f"SELECT current_setting({_quoted(name)}, true)")[0][0]
        return value or ""


def _savepoints(connection: LogicalConnection) -> int:
    return sum(frame.savepoint is not None for frame in connection.frames)


def _settings(text: str) -> Iterator[_Setting]:
    """Return what *text* sets, as far as its words show it."""
    if not _MAY_SET.search(text):
        return
    for match in _SET.finditer(text):
        name = match["name"] or _SPECIAL.get(" ".join(match["special"].lower().split()), "")
        if name:
            yield _Setting(name.strip('"').lower(), (match["scope"] or "").upper() == "LOCAL")
    for match in _SET_CONFIG.finditer(text):
        yield _Setting(match["name"].replace("''", "'").lower(), match["local"].lower() == "t")


def _quoted(value: str) -> str:
    """Return *value* as a literal of SQL."""
    return "'" + value.replace("'", "''") + "'" if "\\" not in value else _escaped(value)


def _escaped(value: str) -> str:
    return "E'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


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
    r'|(?P<name>"?[A-Za-z_][\w.$]*"?)(?=\s*=|\s+TO\b|\s*;|\s*$))',
    re.IGNORECASE,
)
_SET_CONFIG = re.compile(
    r"\bset_config\s*\(\s*'(?P<name>(?:[^']|'')+)'(?:::\w+)?\s*,"
    r"\s*(?:E?'(?:[^']|'')*'|[^',]+)(?:::[\w ]+)?\s*,\s*'?(?P<local>[tf])",
    re.IGNORECASE,
)
