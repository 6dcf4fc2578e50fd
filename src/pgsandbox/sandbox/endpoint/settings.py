"""Run-time parameters (SET) of clients that share one session on the server.

On a server each session has its own, and SET LOCAL ends with its transaction. Here one session
serves them all, so before a statement each client gets back the values that it would have by
itself. A test in which nobody sets anything pays nothing for this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from pgsandbox.sandbox.endpoint.server import ServerConnection
from pgsandbox.sandbox.endpoint.sessions import ClientSession

KEPT_AWAY = frozenset(
    {
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "transaction_timeout",
        "transaction_isolation",
        "transaction_read_only",
        "transaction_deferrable",
    }
)
"""Parameters that would end, or be refused by, the transaction that holds the test."""


@dataclass
class _Values:
    """What one client has set."""

    session: dict[str, str] = field(default_factory=dict)
    """By SET: until it is set again."""
    local: dict[str, str] = field(default_factory=dict)
    """By SET LOCAL: until the transaction ends."""

    def copy(self) -> _Values:
        """Return the same values, for going back to them."""
        return _Values(dict(self.session), dict(self.local))


@dataclass(frozen=True)
class Setting:
    """One parameter that a text sets."""

    name: str
    is_local: bool
    is_reset: bool = False


class SessionSettings:
    """Who has set what, on one session of the server."""

    def __init__(self, server: ServerConnection, beneath: SessionSettings | None = None) -> None:
        self._server = server
        self._untouched: dict[str, str] = dict(beneath._untouched) if beneath else {}
        """Of each parameter that somebody set, the value that it had before."""
        self._before: dict[str, str] = {}
        """Of what the statement that is sent may set for the first time, the value before it."""
        self._in_force: ClientSession | None = None
        """Whose values the server has; None if they have to be set again."""
        self._values: dict[ClientSession, _Values] = {}
        self._defaults: dict[ClientSession, Mapping[str, str]] = {}
        """What a client asked for when it connected: what RESET goes back to."""
        self._earlier: dict[ClientSession, list[tuple[int, _Values]]] = {}
        """Per client, what held before each change since its transaction began.

        With each stands how many savepoints the application had set then.
        """

    @property
    def are_touched(self) -> bool:
        """Whether anybody has set any."""
        return bool(self._untouched)

    def adopt(
        self, session: ClientSession, values: Mapping[str, str], defaults: Mapping[str, str]
    ) -> None:
        """Let *session* begin with *values*, of which *defaults* are what RESET goes back to."""
        self._defaults[session] = defaults
        if values:
            for name in values:
                if name not in self._untouched:
                    self._untouched[name] = self._read(name)
            self._values[session] = _Values(dict(values))

    def of(self, session: ClientSession) -> dict[str, str]:
        """Return what *session* has set, in so far as it outlives its transaction."""
        found = self._values.get(session)
        return dict(found.session) if found else {}

    def inherit(self, session: ClientSession, other: SessionSettings, origin: ClientSession) -> None:
        """Give *session* what *origin* has set, whose transaction stands beneath."""
        values = other._values.get(origin)
        if values is not None:
            self._values[session] = values.copy()
        self._defaults[session] = other._defaults.get(origin, {})

    def prepare(self, session: ClientSession, text: str, hidden: tuple[Setting, ...] = ()) -> None:
        """Give *session* its own values, and remember what *text* is about to change."""
        if self._untouched and self._in_force is not session:
            own = self._values.get(session)
            wanted = {**self._untouched, **own.session, **own.local} if own else self._untouched
            self._server.queue(f"SELECT {_assignments(wanted)}")
            self._in_force = session
        names = (setting.name for setting in (*settings_of(text), *hidden))
        self._before = {name: self._read(name) for name in names if name not in self._untouched}
        if self._before:
            self._in_force = session

    def learn(self, session: ClientSession, text: str, hidden: tuple[Setting, ...] = ()) -> None:
        """Ask the server what *text*, which *session* has sent, has set."""
        for name in set(_CLOCKS.findall(text.lower())):
            self._server.rows(f"SELECT set_config('{name}', '0', false)")
        for setting in (*settings_of(text), *hidden):
            if setting.name in self._before:
                self._untouched[setting.name] = self._before[setting.name]
            values = self._values.setdefault(session, _Values())
            self._remember(session, values)
            default = self._defaults.get(session, {}).get(setting.name)
            if setting.is_reset and default is not None:
                values.local.pop(setting.name, None)
                values.session[setting.name] = default
                self._in_force = None
                continue
            value = self._read(setting.name)
            if setting.is_local:
                values.local[setting.name] = value
            else:
                values.local.pop(setting.name, None)
                values.session[setting.name] = value

    def reset_all(self, session: ClientSession) -> None:
        """Give *session* back what it asked for when it connected."""
        values = self._values.get(session)
        if values is not None:
            self._remember(session, values)
            values.session, values.local = dict(self._defaults.get(session, {})), {}
            self._in_force = None

    def _remember(self, session: ClientSession, values: _Values) -> None:
        self._earlier.setdefault(session, []).append((session.depth(), values.copy()))

    def undone(self) -> None:
        """The server has gone back to a savepoint, and to the values that held there."""
        self._in_force = None

    def committed(self, session: ClientSession) -> None:
        """What *session* set stays, and what it set locally ends."""
        if self._earlier.pop(session, None) and self._values[session].local:
            self._values[session].local.clear()
            self._in_force = None

    def rolled_back(self, session: ClientSession, *, to: int = 0) -> None:
        """Everything that *session* set since it had *to* savepoints is undone."""
        earlier = self._earlier.get(session, [])
        while earlier and earlier[-1][0] >= to:
            self._values[session] = earlier.pop()[1]
            self._in_force = None

    def released(self, session: ClientSession, *, to: int) -> None:
        """*session* has *to* savepoints left; what it set in others belongs to the last."""
        earlier = self._earlier.get(session, [])
        earlier[:] = [(min(depth, to), values) for depth, values in earlier]

    def _read(self, name: str) -> str:
        value = self._server.rows(f"SELECT current_setting({quoted(name)}, true)")[0][0]
        return value or ""


def _assignments(values: Mapping[str, str]) -> str:
    # A role is set last: what else is set may take the rights of the role before it.
    names = sorted(values, key=lambda name: (name in _ROLES, name == "role"))
    return ", ".join(f"set_config({quoted(name)}, {quoted(values[name])}, false)" for name in names)


_ROLES = ("session_authorization", "role")


@lru_cache(maxsize=2048)
def settings_of(text: str) -> tuple[Setting, ...]:
    """Return what *text* sets, as far as its words show it."""
    if not _MAY_SET.search(text):
        return ()
    found = []
    for match in _SET.finditer(text):
        name = match["name"] or _SPECIAL[" ".join(match["special"].lower().split())]
        found.append(
            Setting(
                name.strip('"').lower(),
                (match["scope"] or "").upper() == "LOCAL",
                match["reset"] is not None,
            )
        )
        if found[-1].name == "session_authorization":  # setting it sets the role, too
            found.append(Setting("role", found[-1].is_local, found[-1].is_reset))
    for match in _SET_CONFIG.finditer(text):
        name = match["name"].replace("''", "'").lower()
        found.append(Setting(name, match["local"].lower() == "t"))
    return tuple(each for each in found if each.name not in KEPT_AWAY)


@lru_cache(maxsize=2048)
def settings_to_ask(text: str) -> str | None:
    """Return expressions for what calls of set_config in *text* set, if parameters say it.

    They come in pairs: the name, and whether it is local.
    """
    found = []
    for match in _BOUND_CONFIG.finditer(text):
        found += [f"({match['name']})::text", f"({match['local']})::boolean::text"]
    return ", ".join(found) or None


def asked_settings(row: tuple[str | None, ...]) -> tuple[Setting, ...]:
    """Return what the values of `settings_to_ask` say."""
    pairs = zip(row[::2], row[1::2], strict=True)
    found = (Setting((name or "").lower(), local == "true") for name, local in pairs)
    return tuple(each for each in found if each.name not in KEPT_AWAY)


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


_CLOCKS = re.compile(
    r"\b(?:idle_in_transaction_session_timeout|transaction_timeout|idle_session_timeout)\b"
)
"""Those that run on after a statement; the transaction that holds the test must outlive them."""
_WORD = re.compile(r"(?:\\.|[^\s\\])+")
_MAY_SET = re.compile(r"\b(?:SET|RESET|SET_CONFIG)\b", re.IGNORECASE)
_SPECIAL = {
    "time zone": "timezone",
    "role": "role",
    "session authorization": "session_authorization",
    "schema": "search_path",
    "names": "client_encoding",
    "seed": "seed",
}
_SET = re.compile(
    r"(?:^|;)\s*(?:SET\s+(?:(?P<scope>SESSION|LOCAL)\s+(?!AUTHORIZATION\b))?|(?P<reset>RESET)\s+)"
    r"(?:(?P<special>TIME\s+ZONE|ROLE|SESSION\s+AUTHORIZATION|SCHEMA|NAMES)\b"
    r'|(?P<name>"?(?!transaction_)[A-Za-z_][\w.$]*"?)(?=\s*=|\s+TO\b|\s*;|\s*$))',
    re.IGNORECASE,
)
_PARAMETER = r"\$\d+(?:\s*::\s*[\w ]+?)?"
_BOUND_CONFIG = re.compile(
    rf"\bset_config\s*\(\s*(?P<name>{_PARAMETER})\s*,[^,]+,"
    rf"\s*(?P<local>{_PARAMETER}|true|false|'?[tf]\w*'?)\s*\)",
    re.IGNORECASE,
)
_SET_CONFIG = re.compile(
    r"\bset_config\s*\(\s*'(?P<name>(?:[^']|'')+)'(?:::\w+)?\s*,"
    r"\s*(?:E?'(?:[^']|'')*'|[^',]+)(?:::[\w ]+)?\s*,\s*'?(?P<local>[tf])",
    re.IGNORECASE,
)
