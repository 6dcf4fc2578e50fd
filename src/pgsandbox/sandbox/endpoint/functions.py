"""Functions and triggers of the database: a statement's text does not show what they do."""

from __future__ import annotations

import re

from pgsandbox.sandbox.endpoint.server import ServerConnection
from pgsandbox.sandbox.endpoint.settings import Setting, settings_of
from pgsandbox.sandbox.endpoint.statements import Kind, Statement

_LOOK = """SELECT p.proname, p.prosrc, p.prorettype = 'trigger'::regtype FROM pg_proc p
    WHERE p.oid >= 16384 AND p.prosrc ~* '\\m(set_config|set|reset)\\M' AND p.probin IS NULL"""


class SettingFunctions:
    """Which functions of one database may set which parameters."""

    def __init__(self, server: ServerConnection | None) -> None:
        self._by_name: dict[str, tuple[Setting, ...]] = {}
        self._by_triggers: tuple[Setting, ...] = ()
        for name, source, is_trigger in server.rows(_LOOK) if server is not None else ():
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
            for name in set(self._named.findall(statement.words)):
                found.extend(self._by_name.get(name.lower(), ()))
        return tuple(dict.fromkeys(found))


_BLOCK = re.compile(r"\s*DO\b", re.IGNORECASE)
_CREATES = re.compile(
    r"\b(?:FUNCTION|PROCEDURE)\s+(?:[\w$\"]+\s*\.\s*)?\"?([\w$]+)\"?\s*\(", re.IGNORECASE
)
_REMEMBERED = 2048


class Routines:
    """Functions and triggers of one database that do what a statement's text does not show."""

    def __init__(self, word: str, server: ServerConnection | None) -> None:
        self._word = re.compile(re.sub(r"\\[mM]", lambda _: r"\b", word), re.IGNORECASE)
        look = (
            "SELECT proname, prorettype = 'trigger'::regtype FROM pg_proc "  # noqa: S608 - our own
            f"WHERE oid >= 16384 AND probin IS NULL AND prosrc ~* '{word}'"
        )
        rows = server.rows(look) if server is not None else []
        self._names = {str(name).lower() for name, is_trigger in rows if is_trigger != "t"}
        self._has_triggers = any(is_trigger == "t" for _, is_trigger in rows)
        self._pattern = self._compiled()
        self._answers: dict[str, bool] = {}

    def _compiled(self) -> re.Pattern[str] | None:
        names = "|".join(map(re.escape, sorted(self._names)))
        return re.compile(rf"\b(?:{names})\b", re.IGNORECASE) if names else None

    @property
    def are_any(self) -> bool:
        """Whether there are any."""
        return bool(self._names) or self._has_triggers

    def may_run(self, statement: Statement, *, is_write: bool) -> bool:
        """Whether *statement* may run one of them."""
        if self._has_triggers and is_write:
            return True
        if self._pattern is None and statement.kind is not Kind.WRITE:
            return False
        if len(self._answers) > _REMEMBERED:
            self._answers.clear()
        found = self._answers.get(statement.words)
        if found is None:
            found = self._answers[statement.words] = self._runs(statement)
        return found

    def may_be_run(self, statement: Statement, own: Routines) -> bool:
        """Whether *statement* may run one of them by way of any of the database's *own*.

        Where there is one, whatever runs a function or trigger of the database's own may: that may
        call it, or write a row whose trigger does.
        """
        return self.are_any and own.may_run(statement, is_write=statement.kind is not Kind.READ)

    def _runs(self, statement: Statement) -> bool:
        if statement.kind is Kind.WRITE and _BLOCK.match(statement.text):
            return self._word.search(statement.text) is not None
        return self._pattern is not None and self._pattern.search(statement.words) is not None

    def learn(self, text: str) -> None:
        """See what *text* defines; it stays known, even if it is undone."""
        if not self._word.search(text):
            return
        for name in _CREATES.findall(text):
            self._names.add(name.lower())
            self._has_triggers = self._has_triggers or "trigger" in text.lower()
        self._pattern = self._compiled()
        self._answers.clear()


class OwnFunctions:
    """The functions and triggers of one database, by what they may do; none without a *server*."""

    def __init__(self, server: ServerConnection | None = None) -> None:
        self._setting = SettingFunctions(server)
        self.own = Routines(".", server)
        """All of them."""
        self._locking = Routines("pg_(try_)?advisory_", server)
        self.opening = Routines(r"\mopen\M", server)
        """Functions that open cursors."""
        self._naming = Routines("application_name", server)
        self._have_changed = False
        """Whether the running test may have made some."""
        self._are_stale = False

    def set_by(self, statement: Statement, server: ServerConnection | None) -> tuple[Setting, ...]:
        """Return the parameters that functions which *statement* calls by name may set."""
        if server is None:
            return ()
        if self._are_stale and not server.has_failed:
            self._setting = SettingFunctions(server)
            self._are_stale = False
        return self._setting.set_by(statement)

    def may_run(self, statement: Statement) -> bool:
        """Whether *statement*, a read, calls one."""
        return self.own.may_run(statement, is_write=False)

    def may_lock(self, statement: Statement) -> bool:
        """Whether *statement* may run one that takes advisory locks."""
        return self._locking.may_be_run(statement, self.own)

    def may_name(self, statement: Statement) -> bool:
        """Whether *statement* may run one that asks for the client's application_name."""
        return self._naming.may_be_run(statement, self.own)

    def learn(self, text: str) -> None:
        """See which ones *text* defines."""
        for routines in (self.own, self._locking, self.opening, self._naming):
            routines.learn(text)

    def changed(self) -> None:
        """A statement may have made some, which last as long as the test at the most."""
        self._are_stale = self._have_changed = True

    def test_finished(self) -> None:
        """What the test has made is gone."""
        self._are_stale, self._have_changed = self._have_changed, False
