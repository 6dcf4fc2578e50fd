"""What else belongs to one session on a server: cursors, temporary tables, the state of sequences.

All clients share one session there. A cursor keeps its name unless another client has one of that
name open. Temporary tables of other clients are renamed while a client works, so that it neither
sees them nor is kept from making its own.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgsandbox.sandbox.endpoint import lexer, refusals
from pgsandbox.sandbox.endpoint.enums import NewEnumValues
from pgsandbox.sandbox.endpoint.failures import StatementFailed, failure
from pgsandbox.sandbox.endpoint.own_state import rewriting_of
from pgsandbox.sandbox.endpoint.settings import Setting, settings_of
from pgsandbox.sandbox.endpoint.statements import Kind, Statement
from pgsandbox.sandbox.endpoint.transaction import TestTransaction

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend

_WITH_HOLD = re.compile(r"\bWITH\s+HOLD\b", re.IGNORECASE)
_ON_COMMIT = re.compile(r"\bON\s+COMMIT\s+(DROP|DELETE)\b", re.IGNORECASE)
_ROUTINE = re.compile(r"\b(?:FUNCTION|PROCEDURE|ROUTINE|EXTENSION|DO|CALL)\b", re.IGNORECASE)
_CATALOGS = re.compile(r"\bpg_|information_schema|\bto_reg|::\s*reg", re.IGNORECASE)
_NAMES_THE_APPLICATION = re.compile(
    r"application_name|pg_stat_activity|pg_settings|current_setting\s*\(\s*(?!')\S", re.IGNORECASE
)


def identifier(name: str) -> str:
    """Return *name* as SQL writes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def _names_the_application(statement: Statement) -> bool:
    """Whether *statement* may ask for its client's application_name, as a parameter's name too."""
    return not statement.is_ordinary and _NAMES_THE_APPLICATION.search(statement.words) is not None


_COMMITTED = -1


@dataclass
class _Cursor:
    """A cursor that one client has opened."""

    server_name: str
    is_held: bool
    """Whether it outlives its transaction."""
    depth: int
    """How many savepoints its client had set; `_COMMITTED` once its transaction has ended."""


class SessionObjects:
    """The cursors, temporary tables and sequence values of one client."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._cursors: dict[str, _Cursor] = {}
        """By the client's names."""
        self._enum_values = NewEnumValues()
        self.set_next: tuple[Setting, ...] = ()
        """The parameters that the next statement sets by names that it was given as parameters."""
        self._is_named = False
        """Whether the server knows this client's application_name in this test."""

    # -- before and after a statement ---------------------------------------------------------

    def prepared(self, statement: Statement) -> Statement:
        """Return *statement* with the names that the server has for what it names."""
        if statement.kind is Kind.DECLARE and statement.name is not None:
            held = self._backend.database.cursors.get(statement.name)
            if held is None or held is self._backend:
                return statement
            mangled = f"{statement.name[:40]}_pgsandbox_{self._backend.client.number}"
            return _renamed(statement, mangled)
        if statement.kind is Kind.CURSOR and statement.name in self._cursors:
            server_name = self._cursors[statement.name].server_name
            return statement if server_name == statement.name else _renamed(statement, server_name)
        if statement.names_own_state and (other := rewriting_of(statement.text)) is not None:
            return Statement(other.text, statement.kind, statement.name, statement.offset)
        return self._backend.database.clock.in_other_words(statement)

    def cursor_names(self) -> dict[str, str]:
        """Return what the client calls the server's cursors; nothing for those of others."""
        names = {
            name: ""
            for name, owner in self._backend.database.cursors.items()
            if owner is not self._backend
        }
        return names | {each.server_name: name for name, each in self._cursors.items()}

    def has_cursor(self, name: str | None) -> bool:
        """Whether the client has opened a cursor of that name, and nothing of its own closed it."""
        return name in self._cursors

    def cursor_name(self, name: bytes) -> bytes:
        """Return the server's name for what the client calls *name*: a cursor or a portal."""
        text = name.decode("utf-8", "surrogateescape")
        found = self._cursors.get(text)
        if found is not None:
            return found.server_name.encode("utf-8", "surrogateescape")
        held = self._backend.database.cursors.get(text)
        if held is not None and held is not self._backend:
            return name + f"_pgsandbox_{self._backend.client.number}".encode()
        return name

    def hidden_settings(self, statement: Statement) -> tuple[Setting, ...]:
        """Return the parameters that *statement* sets although its own words do not show it."""
        found, self.set_next = self.set_next, ()
        database = self._backend.database
        return found + database.functions.set_by(statement, database.server)

    def before(self, transaction: TestTransaction, statement: Statement) -> None:
        """Let the server's session be this client's, as far as *statement* can tell.

        Raises:
            StatementFailed: it can't be.
        """
        backend = self._backend
        self._check_names(statement)
        temporary, functions = backend.database.temporary, backend.database.functions
        if temporary.are_any and (
            temporary.may_be_named_in(statement) or functions.may_run(statement)
        ):
            temporary.show_to(backend, transaction)
        if statement.names_sequence_state:
            self._tell_sequences(transaction, statement)
        self._take_numbers(transaction, statement)
        name = backend.application_name
        if (
            name is not None
            and not self._is_named
            # What is bound to an unnamed portal by now would be lost.
            and statement.kind not in (Kind.DECLARE, Kind.CURSOR)
            and (_names_the_application(statement) or functions.may_name(statement))
        ):
            self._is_named = True
            transaction.settings.begin_with(backend.session, "application_name", name)
        if statement.names_own_state:
            backend.own_state.tell(transaction, statement)

    def _check_names(self, statement: Statement) -> None:
        """Let the server have what *statement* names, and only if it is the client's own."""
        backend, kind = self._backend, statement.kind
        if kind is Kind.EXECUTE:
            backend.prepared.ensure_sql(statement.name)
        elif kind is Kind.PREPARE:
            backend.prepared.prepare_sql(statement)
        elif kind is Kind.CURSOR and statement.name is not None:
            self._check_cursor(statement.name)
        elif kind is Kind.DECLARE:
            cursor = self._cursors.get(statement.name or "")
            if cursor is not None and cursor.server_name != statement.name:
                raise failure("42P03", f'cursor "{statement.name}" already exists')

    def _take_numbers(self, transaction: TestTransaction, statement: Statement) -> None:
        backend = self._backend
        if statement.kind is Kind.WRITE:
            if statement.may_define:
                self._enum_values.before(transaction.server, statement)
            backend.database.sequence_values.taken(
                backend, transaction.server, is_certain=statement.takes_numbers
            )
        elif statement.takes_numbers or backend.database.functions.may_run(statement):
            backend.database.sequence_values.taken(backend, transaction.server)

    def after(self, transaction: TestTransaction, statement: Statement) -> None:
        """Remember what *statement*, which succeeded, has made."""
        backend, kind = self._backend, statement.kind
        if kind is Kind.WRITE:
            if statement.may_define:
                backend.database.functions.learn(statement.text)
                self._enum_values.after(transaction.server)
            if not backend.is_set_up:
                backend.wrote_in_set_up = True
            if statement.may_define and _ROUTINE.search(statement.bare):
                backend.database.functions.changed()
            if statement.names_temporary:
                backend.database.temporary.learn(backend, transaction, statement)
        elif kind is Kind.PREPARE:
            backend.prepared.prepared_sql(statement.name)
        elif kind is Kind.DECLARE and statement.name is not None:
            self._declared(statement)
        elif kind is Kind.CURSOR and statement.bare.lstrip()[:5].upper() == "CLOSE":
            self._forget_cursor(statement.name)
        if backend.database.functions.opening.may_run(statement, is_write=False):
            self._opened(transaction)

    def failed(self, statement: Statement) -> None:
        """Remember that *statement* failed, and what the server went back to."""
        self._backend.database.temporary.undone()
        if statement.kind is Kind.PREPARE:
            self._backend.prepared.prepared_sql(statement.name, has_failed=True)
        elif statement.kind is Kind.EXECUTE:
            self._backend.prepared.execution_failed(statement.name)

    # -- cursors ------------------------------------------------------------------------------

    def is_with_hold(self, statement: Statement) -> bool:
        """Whether DECLARE asks for a cursor that outlives its transaction."""
        return _WITH_HOLD.search(statement.bare) is not None

    def _declared(self, statement: Statement) -> None:
        server_name = self.prepared(statement).name or ""
        self._add_cursor(statement.name or "", server_name, self.is_with_hold(statement))
        self._backend.database.cursors[server_name] = self._backend

    def _add_cursor(self, name: str, server_name: str, is_held: bool) -> None:
        self._cursors[name] = _Cursor(server_name, is_held, self._backend.session.depth())

    def _opened(self, transaction: TestTransaction) -> None:
        """Let the cursors that a function has opened be the client's."""
        cursors = self._backend.database.cursors
        known = {
            each for other in self._backend.database.backends for each in other.extended.portals
        }
        for (name,) in transaction.server.rows("SELECT name FROM pg_cursors WHERE NOT is_holdable"):
            if name and name not in cursors and name not in known:
                self._add_cursor(name, name, is_held=False)
                cursors[name] = self._backend

    def _check_cursor(self, name: str) -> None:
        held = self._backend.database.cursors.get(name)
        if held is not None and held is not self._backend and name not in self._cursors:
            raise failure("34000", f'cursor "{name}" does not exist')

    def _forget_cursor(self, name: str | None) -> None:
        found = self._cursors.pop(name or "", None)
        if found is not None:
            self._backend.database.cursors.pop(found.server_name, None)

    def close_cursors(self, *, with_hold: bool = True) -> None:
        """Close this client's cursors, those WITH HOLD only if asked."""
        server = self._backend.database.server
        for name, cursor in list(self._cursors.items()):
            if with_hold or not cursor.is_held:
                self._forget_cursor(name)
                if server is not None and not server.is_lost:
                    server.queue(f"CLOSE {identifier(cursor.server_name)}")

    def transaction_ended(self, *, is_commit: bool) -> None:
        """The client's transaction has ended, and with it its cursors."""
        self._enum_values.forget()
        if is_commit:
            self.close_cursors(with_hold=False)
            for cursor in self._cursors.values():
                cursor.depth = _COMMITTED
        else:
            self._drop_undone_cursors()

    def rolled_back(self) -> None:
        """The client went back to a savepoint, and the server closed what was opened since."""
        depth = self._backend.session.depth()
        for name in [name for name, each in self._cursors.items() if each.depth >= depth]:
            self._forget_cursor(name)
        self._backend.database.temporary.undone()

    def released(self) -> None:
        """The client released a savepoint."""
        depth = self._backend.session.depth()
        for cursor in self._cursors.values():
            cursor.depth = min(cursor.depth, depth)

    def _drop_undone_cursors(self) -> None:
        # The server has closed them with the savepoint that they were opened in.
        for name in [name for name, each in self._cursors.items() if each.depth != _COMMITTED]:
            self._forget_cursor(name)
        self._backend.database.temporary.undone()

    # -- sequences ----------------------------------------------------------------------------

    def _tell_sequences(self, transaction: TestTransaction, statement: Statement) -> None:
        backend = self._backend
        values = backend.database.sequence_values
        if not values.tell(backend, transaction.server, statement):
            error = refusals.sequence_state(statement.text, backend.label, transaction.test)
            raise StatementFailed(refusals.as_message(error))

    def discard_sequences(self) -> None:
        """Forget what sequences have given to this client."""
        backend = self._backend
        backend.database.sequence_values.discard(backend, backend.current().server)

    # -- temporary tables ---------------------------------------------------------------------

    def before_commit(self) -> None:
        """Do what ON COMMIT of temporary tables says, and what a commit does to enums."""
        session = self._backend.session
        temporary = self._backend.database.temporary
        if temporary.are_any and session.in_transaction:
            temporary.commit(self._backend)
        if session.in_transaction and not session.has_failed:
            self._enum_values.before_commit(self._backend.current().server)

    def drop_temporary(self) -> None:
        """Drop the client's temporary tables."""
        temporary = self._backend.database.temporary
        if temporary.are_any:
            temporary.drop_all(self._backend)

    def close(self) -> None:
        """The client is gone in the middle of a test."""
        self.close_cursors()
        with contextlib.suppress(StatementFailed):  # the test's end tells it
            self.drop_temporary()

    def forget(self) -> None:
        """The test is over, and all of it is undone."""
        self._cursors.clear()
        self._is_named = False


def _renamed(statement: Statement, name: str) -> Statement:
    """Return *statement* with *name* for what it names."""
    words = [t for t in lexer.tokens(statement.text) if t.kind in ("word", "quoted")]
    for token in words[1:]:
        found = statement.text[token.start : token.end]
        plain = found[1:-1].replace('""', '"') if token.kind == "quoted" else found.lower()
        if plain == statement.name:
            text = statement.text[: token.start] + identifier(name) + statement.text[token.end :]
            return Statement(text, statement.kind, name, statement.offset)
    return statement


@dataclass
class _Temporary:
    """One temporary table, view, sequence or function."""

    owner: Backend
    name: str
    kind: str
    on_commit: str
    """``DROP``, ``DELETE`` or nothing."""
    signature: str = ""
    """The arguments of a function, in parentheses."""
    is_hidden: bool = False


class TemporaryTables:
    """Which client has made which temporary table, and who sees it at the moment."""

    def __init__(self) -> None:
        self._tables: dict[str, _Temporary] = {}
        """By oid."""
        self._shown_to: Backend | None = None
        self._is_stale = False

    @property
    def are_any(self) -> bool:
        """Whether there is one."""
        return bool(self._tables)

    def may_be_named_in(self, statement: Statement) -> bool:
        """Whether *statement* may find one of them: renaming is a write, and better avoided."""
        text = statement.words
        if statement.kind is not Kind.READ or not text or _CATALOGS.search(text):
            return True
        lowered = text.lower()
        return any(each.name.lower() in lowered for each in self._tables.values())

    def undone(self) -> None:
        """Something was rolled back, and renaming with it."""
        if self._tables:
            self._is_stale, self._shown_to = True, None

    def learn(self, backend: Backend, transaction: TestTransaction, statement: Statement) -> None:
        """See what *statement* has made or dropped."""
        on_commit = _ON_COMMIT.search(statement.bare)
        found = self._look(transaction)
        for oid, (name, kind, signature) in found.items():
            if oid not in self._tables:
                action = on_commit[1].upper() if on_commit and not signature else ""
                self._tables[oid] = _Temporary(backend, name, kind, action, signature)
        for oid in [oid for oid in self._tables if oid not in found]:
            del self._tables[oid]
        self._shown_to = backend

    def _look(self, transaction: TestTransaction) -> dict[str, tuple[str, str, str]]:
        rows = transaction.server.rows(_LOOK)
        return {str(oid): (str(name), str(kind), args or "") for oid, name, kind, args in rows}

    def show_to(self, backend: Backend, transaction: TestTransaction) -> None:
        """Hide what belongs to others, and show what belongs to *backend*."""
        if self._shown_to is backend and not self._is_stale:
            return
        self._look_again(transaction)
        self._shown_to = backend
        commands = []
        for oid, each in self._tables.items():
            is_foreign = each.owner is not backend
            if is_foreign != each.is_hidden:
                hidden = f"pgsandbox_hidden_{oid}"
                before, after = (each.name, hidden) if is_foreign else (hidden, each.name)
                commands.append(
                    f"ALTER {each.kind} pg_temp.{identifier(before)}{each.signature}"
                    f" RENAME TO {identifier(after)}"
                )
                each.is_hidden = is_foreign
        if commands:
            # Those that hide come first: a name has to be free before another takes it.
            commands.sort(key=lambda each: "pgsandbox_hidden" not in each.partition(" TO ")[2])
            # Whatever role a client has taken, the tables are renamed by the session's own.
            commands = [*transaction.settings.own_role(), *commands]
            transaction.server.queue("; ".join(commands))

    def _look_again(self, transaction: TestTransaction) -> None:
        """Forget what a rollback has taken away."""
        if not self._is_stale:
            return
        found = self._look(transaction)
        self._is_stale = False
        self._tables = {oid: each for oid, each in self._tables.items() if oid in found}
        for oid, each in self._tables.items():
            each.is_hidden = found[oid][0] != each.name

    def commit(self, backend: Backend) -> None:
        """Do what ON COMMIT says of the tables of *backend*."""
        self._look_again(backend.current())
        mine = [each for each in self._tables.values() if each.owner is backend]
        for word, sql in (("DELETE", "DELETE FROM"), ("DROP", "DROP TABLE")):
            names = [identifier(each.name) for each in mine if each.on_commit == word]
            if names:
                text = "; ".join(f"{sql} pg_temp.{name}" for name in names)
                self._run(backend, text)

    def drop_all(self, backend: Backend) -> None:
        """Drop the tables of *backend*."""
        self._look_again(backend.current())
        mine = [each for each in self._tables.values() if each.owner is backend]
        names = [f"pg_temp.{identifier(each.name)}" for each in mine if each.kind == "TABLE"]
        drops = [f"DROP TABLE IF EXISTS {', '.join(names)} CASCADE"] if names else []
        drops += [
            f"DROP {each.kind} pg_temp.{identifier(each.name)}{each.signature} CASCADE"
            for each in mine
            if each.signature
        ]
        if drops:
            self._run(backend, "; ".join(drops))

    def _run(self, backend: Backend, text: str) -> None:
        transaction = backend.current()
        statement = Statement(text, Kind.WRITE)
        self.show_to(backend, transaction)
        backend.execution.run_unheard(statement)
        if "DROP" in text:
            self.learn(backend, transaction, statement)

    def forget(self) -> None:
        """The test is over."""
        self._tables.clear()
        self._shown_to, self._is_stale = None, False


_LOOK = """SELECT oid::text, relname, CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE'
    ELSE 'TABLE' END, '' FROM pg_class
    WHERE relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'v', 'S', 'p')
    UNION ALL SELECT 'routine_' || oid, proname, CASE prokind WHEN 'p' THEN 'PROCEDURE'
    WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END,
    '(' || pg_get_function_identity_arguments(oid) || ')' FROM pg_proc
    WHERE pronamespace = pg_my_temp_schema()"""

__all__ = ["SessionObjects", "TemporaryTables", "identifier", "settings_of"]
