"""Functions of the database that set run-time parameters, which a statement's text does not show."""

from __future__ import annotations

import re

from pgsandbox.sandbox.endpoint.server import ServerConnection
from pgsandbox.sandbox.endpoint.settings import Setting, settings_of
from pgsandbox.sandbox.endpoint.statements import Statement

_LOOK = """SELECT p.proname, p.prosrc, p.prorettype = 'trigger'::regtype FROM pg_proc p
    WHERE p.oid >= 16384 AND p.prosrc ~* '\\m(set_config|set|reset)\\M' AND p.probin IS NULL"""


class SettingFunctions:
    """Which functions of one database may set which parameters."""

    def __init__(self, server: ServerConnection) -> None:
        self._by_name: dict[str, tuple[Setting, ...]] = {}
        self._by_triggers: tuple[Setting, ...] = ()
        for name, source, is_trigger in server.rows(_LOOK):
            found = settings_of(source or "", is_source=True)
            if not found:
                continue
            if is_trigger == "t":
                self._by_triggers += found
            else:
                self._by_name[str(name)] = found
        names = "|".join(map(re.escape, self._by_name))
        self._named = re.compile(rf"\b(?:{names})\b", re.IGNORECASE) if names else None

    def set_by(self, statement: Statement) -> tuple[Setting, ...]:
        """Return the parameters that *statement* may set by functions that it calls."""
        if self._named is None and not self._by_triggers:
            return ()
        found = list(self._by_triggers)
        if self._named is not None:
            for name in set(self._named.findall(statement.text)):
                found.extend(self._by_name.get(name.lower(), ()))
        return tuple(dict.fromkeys(found))
