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

from pgsandbox.sandbox.endpoint.modes import modes_shown, reads_mode, with_modes_shown
from pgsandbox.sandbox.endpoint.server import ServerConnection
from pgsandbox.sandbox.endpoint.sessions import ClientSession

_CLOCKS = frozenset(
    {"idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout"}
)
"""Those that run on after a statement; the transaction that holds the test must outlive them."""
_NAMED_CLOCK = re.compile(rf"\b(?:{'|'.join(sorted(_CLOCKS))})\b", re.IGNORECASE)
KEPT_AWAY = _CLOCKS | frozenset(
    {
        "transaction_isolation",
        "transaction_read_only",
        "transaction_deferrable",
        "seed",
    }
)
"""Parameters that would end, or be refused by, the transaction that holds the test; and one that
can't be read."""


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
        self._untouched: dict[str, str | None] = dict(beneath._untouched) if beneath else {}
        """Of each parameter that somebody set, the value that it had before; None if unknown."""
        self._before: dict[str, str | None] = {}
        """The same of what the present statement is about to set, if it does not fail."""
        self._known: dict[ClientSession, set[str]] = {}
        """Per client, the custom parameters that it has set once."""
        self._changed: set[ClientSession] = set()
        """Clients whose values have changed without a statement that says so."""
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
                if name not in self._untouched and name not in _CLOCKS:
                    self._untouched[name] = self._read_before(name)
            self._values[session] = _Values(dict(values))
            self._known.setdefault(session, set()).update(values)
            self._in_force = None

    def begin_with(self, session: ClientSession, name: str, value: str) -> None:
        """Let *session* have had *value* of the parameter *name* from its beginning.

        What it has set since, for good or for its transaction, stays.
        """
        self._defaults[session] = {**self._defaults.get(session, {}), name: value}
        if name not in self._untouched:
            self._untouched[name] = self._read_before(name)
        earlier = [values for _, values in self._earlier.get(session, ())]
        for values in (self._values.setdefault(session, _Values()), *earlier):
            values.session.setdefault(name, value)
        self._known.setdefault(session, set()).add(name)
        self._in_force = None

    def value(self, session: ClientSession, name: str) -> str | None:
        """Return the value that *session* has set *name* to; None if it has not."""
        values = self._values.get(session)
        if values is None:
            return None
        return values.local.get(name, values.session.get(name))

    def is_in_force(self, session: ClientSession) -> bool:
        """Whether what the server has, and reports, are the values of *session*."""
        return not self._untouched or self._in_force is session

    def take_change(self, session: ClientSession) -> bool:
        """Whether values of *session* have changed since it was asked, otherwise than by SET."""
        if session in self._changed:
            self._changed.discard(session)
            return True
        return False

    def masked(self, session: ClientSession, text: str) -> str:
        """Return *text* with other names for custom parameters that *session* has never set.

        On a connection of its own the server would not know them. Here it does, once anybody has
        set them, and says that they are empty.
        """
        if shown := modes_shown(session, text):
            text = with_modes_shown(text, shown)
        placeholders = self._server.placeholders
        if not placeholders or not _READS_CUSTOM.search(text) or _DEFINES.search(text):
            return text  # what is defined outlives the moment, and is others' as well
        known = self._known.get(session, ())

        def other(match: re.Match[str]) -> str:
            name = match["name"]
            folded = name.lower()
            is_unknown = folded in placeholders and folded not in known
            return match["before"] + (placeholders[folded] if is_unknown else name)

        return _READS_CUSTOM.sub(other, text)

    def of(self, session: ClientSession) -> dict[str, str]:
        """Return what *session* has set, in so far as it outlives its transaction."""
        found = self._values.get(session)
        return dict(found.session) if found else {}

    def inherit(
        self, session: ClientSession, other: SessionSettings, origin: ClientSession
    ) -> None:
        """Give *session* what *origin* has set, whose transaction stands beneath."""
        values = other._values.get(origin)
        if values is not None:
            self._values[session] = values.copy()
        self._known[session] = set(other._known.get(origin, ()))
        self._defaults[session] = other._defaults.get(origin, {})

    def prepare(self, session: ClientSession, text: str, hidden: tuple[Setting, ...] = ()) -> None:
        """Give *session* its own values, and remember what *text* is about to change."""
        self.put_in_force(session)
        self._before = {}
        for setting in (*settings_of(text), *hidden):
            if setting.name not in self._untouched and setting.name not in _CLOCKS:
                self._before[setting.name] = self._read_before(setting.name)
        if clocks := clocks_of(text):  # it may read them
            values = self._values.get(session, _Values())
            stopped = {**values.session, **values.local}
            shown = {name: stopped[name] for name in clocks if name in stopped}
            if shown:
                self._server.queue(f"SELECT {_assignments(shown, {})}")

    def own_role(self) -> list[str]:
        """Return what gives the server's session its own role back, if a client has changed it.

        Until the next client's values are put in force.
        """
        touched = {name: self._untouched[name] for name in _ROLES if name in self._untouched}
        if not touched:
            return []
        self._in_force = None
        return [f"SELECT {_assignments(touched, self._untouched)}"]

    def put_in_force(self, session: ClientSession) -> None:
        """Give *session* its own values."""
        if self._untouched and self._in_force is not session:
            own = self._values.get(session)
            wanted = {**self._untouched, **own.session, **own.local} if own else self._untouched
            if not _CLOCKS.isdisjoint(wanted):
                wanted = {name: wanted[name] for name in wanted if name not in _CLOCKS}
            self._server.queue(f"SELECT {_assignments(wanted, self._untouched)}")
            self._in_force = session

    def learn(self, session: ClientSession, text: str, hidden: tuple[Setting, ...] = ()) -> None:
        """Ask the server what *text*, which *session* has sent, has set."""
        if self._before:
            if not self._untouched:
                self._in_force = session
            self._untouched.update(self._before)
            self._before = {}
        clocks = clocks_of(text)
        for setting in (*settings_of(text), *hidden):
            if setting.name in _CLOCKS:
                clocks |= {setting.name}
            values = self._values.setdefault(session, _Values())
            self._known.setdefault(session, set()).add(setting.name)
            self._remember(session, values)
            default = self._defaults.get(session, {}).get(setting.name)
            if setting.is_reset and default is not None:
                values.local.pop(setting.name, None)
                values.session[setting.name] = default
                self._in_force = None
                self._changed.add(session)
                continue
            value = self._read(setting.name) or ""
            if setting.is_local:
                values.local[setting.name] = value
            else:
                values.local.pop(setting.name, None)
                values.session[setting.name] = value
        for name in clocks:
            self._server.rows(f"SELECT set_config('{name}', '0', false)")

    def reset_all(self, session: ClientSession) -> None:
        """Give *session* back what it asked for when it connected."""
        values = self._values.get(session)
        if values is not None:
            self._remember(session, values)
            values.session, values.local = dict(self._defaults.get(session, {})), {}
            self._in_force = None
            self._changed.add(session)

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
            self._changed.add(session)

    def rolled_back(self, session: ClientSession, *, to: int = 0) -> None:
        """Everything that *session* set since it had *to* savepoints is undone."""
        earlier = self._earlier.get(session, [])
        while earlier and earlier[-1][0] >= to:
            self._values[session] = earlier.pop()[1]
            self._in_force = None
            self._changed.add(session)

    def released(self, session: ClientSession, *, to: int) -> None:
        """*session* has *to* savepoints left; what it set in others belongs to the last."""
        earlier = self._earlier.get(session, [])
        earlier[:] = [(min(depth, to), values) for depth, values in earlier]

    def _read(self, name: str) -> str | None:
        return self._server.rows(f"SELECT current_setting({quoted(name)}, true)")[0][0]

    def _read_before(self, name: str) -> str | None:
        if name in self._server.placeholders:
            return None
        value = self._read(name)
        if value is None and "." in name:
            taken = self._server.placeholders
            taken[name] = next(
                each for last in _LAST if (each := name[:-1] + last) != name and each not in taken
            )
        return value


def _assignments(values: Mapping[str, str | None], untouched: Mapping[str, str | None]) -> str:
    # The role goes first, and comes last: what else is set may take the rights of the first one.
    names = sorted(values, key=lambda name: (name in _ROLES, name == "role"))
    pairs = [(name, untouched[name]) for name in _ROLES if name in values]
    pairs += [(name, values[name]) for name in names]
    return ", ".join(f"set_config({quoted(k)}, {quoted(v or '')}, false)" for k, v in pairs)


_LAST = "_0123456789abcdefghijklmnopqrstuvwxyz"
_READS_CUSTOM = re.compile(
    r"(?P<before>\bcurrent_setting\s*\(\s*E?'|\bSHOW\s+)(?P<name>[A-Za-z_][\w$]*\.[\w.$]+)",
    re.IGNORECASE,
)


_ROLES = ("session_authorization", "role")


@lru_cache(maxsize=2048)
def reads_custom(text: str) -> bool:
    """Whether *text* reads a parameter by its name that the server may have to read by another."""
    return _READS_CUSTOM.search(text) is not None or reads_mode(text)


@lru_cache(maxsize=2048)
def settings_of(text: str, *, is_source: bool = False) -> tuple[Setting, ...]:
    """Return what *text* sets, as far as its words show it; it may be a function's source."""
    if not _MAY_SET.search(text):
        return ()
    found = []
    if match := _CHARACTERISTICS.search(text):
        words = match[1].upper()
        found += [Setting(name, False) for word, name in _DEFAULTS.items() if word in words]
    for match in _SET.finditer(text):
        if match["block"] and not (is_source or _DO.match(text)):
            continue
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
    return tuple(each for each in found if each.name in _CLOCKS or each.name not in KEPT_AWAY)


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
    return tuple(each for each in found if each.name in _CLOCKS or each.name not in KEPT_AWAY)


@lru_cache(maxsize=2048)
def clocks_of(text: str) -> frozenset[str]:
    """Return which of the clocks that run on after a statement *text* names."""
    return frozenset(match.lower() for match in _NAMED_CLOCK.findall(text))


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


def checked(wanted: dict[str, str], server: ServerConnection | None) -> dict[str, str]:
    """Return *wanted* parameters as *server* writes them; nothing is left of them there.

    Raises:
        ServerError: it does not take one.
    """
    if not wanted or server is None:
        return wanted
    names = list(wanted)
    calls = ", ".join(f"set_config({quoted(n)}, {quoted(wanted[n])}, true)" for n in names)
    is_open = server.status != b"I"
    if is_open:
        server.queue("SAVEPOINT pgsandbox_start")
    try:
        row = server.rows(f"SELECT {calls}")[0]
    finally:
        if is_open:
            name = "pgsandbox_start"
            server.queue(f"ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}")
    return {name: value or "" for name, value in zip(names, row, strict=True)}


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
    "names": "client_encoding",
    "seed": "seed",
}
_SET = re.compile(
    r"(?:^|;|(?P<block>\b(?:BEGIN|THEN|ELSE|LOOP)\b))\s*(?:SET\s+(?:(?P<scope>SESSION|LOCAL)\s+(?!AUTHORIZATION\b))?|(?P<reset>RESET)\s+)"
    r"(?:(?P<special>TIME\s+ZONE|ROLE|SESSION\s+AUTHORIZATION|SCHEMA|NAMES)\b"
    r'|(?P<name>"?(?!transaction_(?!timeout))[A-Za-z_][\w.$]*"?)(?=\s*=|\s+TO\b|\s*;|\s*$))',
    re.IGNORECASE,
)
_DEFINES = re.compile(r"\b(?:CREATE|ALTER)\b", re.IGNORECASE)
_DO = re.compile(r"\s*DO\b", re.IGNORECASE)
_CHARACTERISTICS = re.compile(
    r"(?:^|;)\s*SET\s+SESSION\s+CHARACTERISTICS\s+AS\s+TRANSACTION\s+([\w\s,]+)", re.IGNORECASE
)
_DEFAULTS = {
    "READ ONLY": "default_transaction_read_only",
    "READ WRITE": "default_transaction_read_only",
    "DEFERRABLE": "default_transaction_deferrable",
    "ISOLATION": "default_transaction_isolation",
}
"""What the characteristics of a session set, by their words."""
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
