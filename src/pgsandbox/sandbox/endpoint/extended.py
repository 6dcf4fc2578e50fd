"""Extended queries: Parse, Bind, Describe, Execute, Close, and their end by Sync or Flush.

PostgreSQL manual, 53.2.3. What a client sends is collected, and goes to the server together where
nothing in it has to be seen by itself. Statements and portals have names of the client's own, while
all clients share one session on the server: `prepared` and `portals` know what they are there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from pgsandbox.sandbox.endpoint import messages
from pgsandbox.sandbox.endpoint.advisory import call_of
from pgsandbox.sandbox.endpoint.connection import CUT, Unit
from pgsandbox.sandbox.endpoint.copying import CopyIn
from pgsandbox.sandbox.endpoint.failures import StatementFailed, Waiting, aborted, failure
from pgsandbox.sandbox.endpoint.modes import mode_to_show
from pgsandbox.sandbox.endpoint.notifications import notify_call
from pgsandbox.sandbox.endpoint.portals import Portal, check_unbound
from pgsandbox.sandbox.endpoint.prepared import Prepared, already_exists
from pgsandbox.sandbox.endpoint.server import Outcome, ServerError
from pgsandbox.sandbox.endpoint.settings import (
    asked_settings,
    reads_custom,
    settings_to_ask,
)
from pgsandbox.sandbox.endpoint.statements import (
    ANSWERED_HERE,
    CONTROL,
    Kind,
    Statement,
    split,
    together,
)

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.backend import Backend

_EXITS = frozenset({Kind.COMMIT, Kind.ROLLBACK, Kind.ROLLBACK_TO})
_NEEDS_BLOCK = frozenset({Kind.DECLARE, Kind.LOCK_TABLE})
_NOTHING = Statement("", Kind.READ)
_OF_CURSORS = frozenset({Kind.DECLARE, Kind.CURSOR})


@dataclass(eq=False)
class _Segment:
    """Messages that go to the server together."""

    request: bytearray = field(default_factory=bytearray)
    executed: list[Statement] = field(default_factory=list)
    parsed: list[Prepared] = field(default_factory=list)
    bound: list[bytes] = field(default_factory=list)
    """The client's names of portals that are bound in it."""
    ensured: list[bytes] = field(default_factory=list)
    """Names of statements that are parsed again right before."""
    again: bytes = b""
    """What parses an unnamed one again: sent last of all, since simple queries end it."""
    last: Portal | None = None
    """The portal that was executed last."""


class ExtendedQueries:
    """The extended queries of one client."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._send = backend.client.connection.send
        self._statements = backend.prepared
        self._portals: dict[bytes, Portal] = {}
        self._segment = _Segment()
        self._skips = False
        """Whether a message failed, so that everything is skipped up to the next Sync."""
        self._runs_to_its_end = False
        """Whether each portal of the messages at hand gives all its rows before they end."""

    @property
    def portals(self) -> list[str]:
        """The server's names of the portals that are open."""
        return [each.name.decode("utf-8", "replace") for each in self._portals.values()]

    def has_portal(self, server_name: bytes) -> bool:
        """Whether one of the open portals has that name on the server."""
        return any(each.name == server_name for each in self._portals.values())

    def take(self, unit: Unit) -> None:
        """Answer the messages of *unit*, which ends with Sync or Flush.

        Raises:
            Waiting: the client has to wait for another one; the rest of the unit is in it.
        """
        self._runs_to_its_end = (unit[-1][0] == b"S" or unit[-1] is CUT) and all(
            body[-4:] == b"\0\0\0\0" for kind, body in unit if kind == b"E"
        )
        for place, (kind, body) in enumerate(unit):
            if kind == b"S":
                self._sync()
            elif not self._skips:
                try:
                    self._message(kind, body)
                except Waiting as waiting:
                    waiting.unit = unit[place:]
                    raise
                except (StatementFailed, ServerError) as failed:
                    self.fail(self._backend.flow.response_to(failed))
                if self._backend.copy is not None:
                    return  # the Sync that follows is ignored (manual, 53.2.6)

    def _message(self, kind: bytes, body: bytes) -> None:
        if kind == b"P":
            self._parse(body)
        elif kind == b"B":
            self._bind(body)
        elif kind == b"D":
            self._describe(body)
        elif kind == b"E":
            self._execute(body)
        elif kind == b"C":
            self._close(body)
        else:
            self._flush()

    def _sync(self) -> None:
        backend = self._backend
        if not self._skips:
            try:
                if self._flush(is_last=True):
                    return
            except (StatementFailed, ServerError) as failed:
                self.fail(backend.flow.response_to(failed))
        if backend.copy is not None:
            return
        self._skips = False
        backend.flow.end_of_unit()
        backend.flow.ready()

    def forget_unnamed(self) -> None:
        """Forget what is unnamed, which ends with the next simple query (manual, 53.2.3)."""
        self._statements.forget_unnamed()
        self._close_unnamed()

    def _close_unnamed(self, *, keeping: bytes = b"") -> None:
        """Close the unnamed portal, if it has a name on the server; not the one to be *keeping*."""
        portal = self._portals.pop(b"", None)
        server = self._backend.database.server
        if portal is None or portal.name in (b"", keeping) or server is None or server.is_lost:
            return
        server.queue_messages(messages.close(b"P", portal.name))

    @property
    def skips(self) -> bool:
        """Whether everything is skipped up to the next Sync."""
        return self._skips

    def skip_to_sync(self) -> None:
        """Skip what the client has sent, up to its next Sync."""
        self._skips = True

    def fail(self, response: bytes) -> None:
        """Tell the client that a message failed, and skip the others up to its next Sync."""
        self._segment = _Segment()
        self._skips = True
        self._backend.flow.failed(response)

    # -- the messages -------------------------------------------------------------------------

    def _parse(self, body: bytes) -> None:
        name, position = messages.string(body)
        sql, _ = messages.string(body, position)
        text = sql.decode("utf-8", "surrogateescape")
        found = split(text, has_escapes=self._backend.flow.has_escapes)
        statement = found[0] if len(found) == 1 else Statement(text, together(found))
        if self._backend.session.has_failed and statement.kind not in _EXITS and found:
            self._flush_quietly()
            self._backend.execution.check_syntax(text)
        if found:
            self._check(statement)
        if name and self._statements.find(name) is not None:
            self._flush()
            raise already_exists(name)
        self._set_apart(statement)
        is_local = len(found) == 1 and statement.kind in ANSWERED_HERE
        if is_local:
            self._flush()
            request = messages.message(b"P", body)
            self._statements.add(Prepared(name, statement, request, is_local=True))
            self._send(messages.PARSE_COMPLETE)
            return
        prepared = Prepared(name, statement, b"", body[position + len(sql) + 1 :])
        if reads_custom(text):
            prepared.body = body
        self._statements.add(prepared)
        self._segment.request += prepared.request
        self._segment.parsed.append(prepared)

    def _set_apart(self, statement: Statement) -> None:
        """Let the server answer what was collected, if *statement* can't be sent with it."""
        executed = self._segment.executed
        if executed and (_is_apart(statement) or _is_apart(executed[-1])):
            self._flush()

    def _bind(self, body: bytes) -> None:
        portal, position = messages.string(body)
        name, position = messages.string(body, position)
        prepared = self._statements.find(name) or self._missing(name)
        self._check(prepared.statement)
        self._set_apart(prepared.statement)
        if prepared.is_local:
            self._flush()
            check_unbound(body[position:])
            self._portals[portal] = Portal(prepared, b"")
            self._send(messages.BIND_COMPLETE)
            return
        if prepared.statement.kind in _OF_CURSORS and self._statements.map(prepared):
            self._flush()
            self._statements.close(prepared.name)
        server_name = self._server_name(portal, prepared.statement)
        self._ensure(prepared)  # what was sent for that name may have ended an unnamed one
        if not portal:
            self._close_unnamed(keeping=server_name)
        self._portals[portal] = Portal(prepared, server_name, body[position:])
        self._segment.bound.append(portal)
        observation = self._backend.database.observation
        if observation is not None:
            observation.bound(prepared.statement, body[position:])
        request = server_name + b"\0" + name + b"\0" + body[position:]
        self._segment.request += messages.message(b"B", request)

    def _describe(self, body: bytes) -> None:
        what, (name, _) = body[:1], messages.string(body, 1)
        if what == b"S":
            prepared = self._statements.find(name) or self._missing(name)
            if prepared.is_local:
                self._flush()
                self._send(messages.NO_PARAMETERS + messages.NO_DATA)
                return
            self._check(prepared.statement)
            self._ensure(prepared)
            self._segment.request += messages.message(b"D", body)
            return
        portal = self._portals.get(name)
        if portal is not None and portal.prepared.is_local:
            self._flush()
            self._send(messages.NO_DATA)
            return
        self._check(portal.prepared.statement if portal else _NOTHING)
        if portal is None and not name:  # the server's may be another client's
            self._flush()
            raise failure("34000", 'portal "" does not exist')
        server_name = portal.name if portal else self._backend.objects.cursor_name(name)
        self._segment.request += messages.message(b"D", b"P" + server_name + b"\0")

    def _execute(self, body: bytes) -> None:  # noqa: C901  # one case for each kind of statement
        name, position = messages.string(body)
        portal = self._portals.get(name)
        if portal is None:
            self._flush()
            raise failure("34000", f'portal "{_shown(name)}" does not exist')
        backend, statement = self._backend, portal.prepared.statement
        self._check(statement)
        if portal.prepared.is_local:
            self._flush()
            if statement.kind in CONTROL:
                backend.control.run(statement, is_alone=False)
            else:
                backend.execution.answer(statement, is_alone=False)
            return
        request = messages.message(b"E", portal.name + b"\0" + body[position:])
        if statement.is_set_local or statement.sets_constraints or statement.kind in _NEEDS_BLOCK:
            self._flush()
            backend.control.check_block(statement, is_alone=True)
        if statement.kind is Kind.READ and call_of(statement) is not None:
            self._flush()
            if not self._advisory(portal, statement):
                return
            self._segment.request += request
            self._segment.executed.append(statement)
            with backend.statements.calling():
                self._flush()
            return
        if statement.kind is Kind.READ and (arguments := notify_call(statement)) is not None:
            self._flush()
            for row in portal.evaluate(backend, arguments):
                backend.notifications.notify(row[0] or "", row[1] or "")
        elif "set_config" in statement.text and (asked := settings_to_ask(statement.text)):
            self._flush()
            rows = portal.evaluate(backend, asked)
            backend.objects.set_next = tuple(each for row in rows for each in asked_settings(row))
        if statement.kind is Kind.COPY_IN:
            backend.execution.record(statement)
            segment, self._segment = self._segment, _Segment()
            replay = b"".join(_unless_named(each) for each in segment.parsed)
            names = portal.name + b"\0" + portal.prepared.name + b"\0"
            bound = messages.message(b"B", names + portal.bound)
            begun = bytes(segment.request) + request + messages.SYNC
            if segment.again:
                backend.current().server.queue_messages(segment.again)
            backend.copy = CopyIn.begun(
                backend, statement, begun, again=replay + bound + request + messages.SYNC
            )
            return
        self._segment.request += request
        self._segment.executed.append(statement)
        self._segment.last = portal

    def _close(self, body: bytes) -> None:
        what, (name, _) = body[:1], messages.string(body, 1)
        if what == b"S":
            self._flush()  # where something before it fails, the server closes nothing
            if self._statements.remove(name):
                self._segment.request += messages.message(b"C", body)
            else:
                self._send(messages.CLOSE_COMPLETE)
            return
        portal = self._portals.pop(name, None)
        if portal is not None and portal.prepared.is_local:
            self._flush()
            self._send(messages.CLOSE_COMPLETE)
            return
        server_name = portal.name if portal else self._backend.objects.cursor_name(name)
        self._segment.request += messages.message(b"C", b"P" + server_name + b"\0")

    # -- the server ---------------------------------------------------------------------------

    def _flush(self, *, is_last: bool = False) -> bool:
        """Let the server answer what was collected; return whether ReadyForQuery is sent.

        That can be only if nothing else *is_last* before it.
        """
        segment, self._segment = self._segment, _Segment()
        if not segment.request:
            return False
        executed = segment.executed
        if len(executed) == 1:
            statement = executed[0]
        elif executed:
            text = "; ".join(each.text for each in executed)
            statement = Statement(text, together(executed))
        else:
            statement = _NOTHING
        backend, again = self._backend, segment.again
        request = bytes(segment.request) + messages.SYNC
        try:
            if len(executed) < 2 and not again and backend.ordinary.can_hold(statement):
                return backend.ordinary.send(statement, request, is_last=is_last)
            for each in executed:
                backend.execution.record(each)
            backend.execution.run(statement, request, again=again, is_recorded=False)
        except StatementFailed as failed:
            if not executed:
                self._record_unparsed(segment, failed)
            self._forget(segment, failed)
            raise
        if len(executed) == 1 and segment.last is not None:
            last = segment.last
            backend.execution.look_at(statement, lambda sql: last.rows_of(backend, sql))
        return False

    def _record_unparsed(self, segment: _Segment, failed: StatementFailed) -> None:
        """Remember the statement that the server has refused when it read it, before it ran."""
        for prepared in segment.parsed[failed.parsed :][:1]:
            backend = self._backend
            backend.execution.record(prepared.statement)
            backend.current().ledger.answered(backend.session, Outcome(error=failed.body))

    def _forget(self, segment: _Segment, failed: StatementFailed) -> None:
        """Forget what the server has not made of *segment*, which has *failed*."""
        for name in segment.bound:
            self._portals.pop(name, None)
        self._statements.take_back(segment.parsed[failed.parsed :], again=segment.ensured)

    def _missing(self, name: bytes) -> NoReturn:
        self._flush()
        shown = f'prepared statement "{_shown(name)}"' if name else "unnamed prepared statement"
        raise failure("26000", f"{shown} does not exist")

    def _ensure(self, prepared: Prepared) -> None:
        """Let the server have *prepared* under its name."""
        statements, segment = self._statements, self._segment
        if prepared.is_sql:
            statements.ensure_sql(prepared.statement.name)
            return
        if prepared.body and (request := statements.masked(prepared.body)) != prepared.request:
            self._flush()
            prepared.request = request
        elif prepared.name:
            if statements.is_on_server(prepared):
                return
        # A simple query ends an unnamed one, and the savepoints that are queued are one.
        elif prepared in segment.parsed or b"" in segment.ensured:
            return
        if prepared.name:
            statements.parse_again(prepared)
        else:
            statements.make_room(prepared)
            self._segment.again = prepared.request
        self._segment.ensured.append(prepared.name)

    def transaction_ended(self) -> None:
        """Forget the portals, which end with their transaction."""
        portals, self._portals = self._portals, {}
        server = self._backend.database.server
        for portal in portals.values():
            if portal.name and server is not None and not server.is_lost:
                server.queue_messages(messages.close(b"P", portal.name))

    def _server_name(self, portal: bytes, statement: Statement) -> bytes:
        """Return a name for *portal* on the server that nothing overwrites before it is run."""
        if portal:
            server_name = self._backend.objects.cursor_name(portal)
            backends = self._backend.database.backends
            if len(backends) > 1 and any(
                each.extended.has_portal(server_name)
                for each in backends
                if each is not self._backend
            ):
                server_name += f"_pgsandbox_{self._backend.client.number}".encode()
            return server_name
        if self._runs_to_its_end and not _is_asked_first(statement):
            return b""
        name = f"pgsandbox_portal_{self._backend.client.number}".encode()
        self._flush()
        self._backend.current().server.queue_messages(messages.close(b"P", name))
        return name

    # -- calls whose arguments decide -----------------------------------------------------------

    def _advisory(self, portal: Portal, statement: Statement) -> bool:
        """Return whether the call of *portal* is to be run, and not answered here."""
        call = call_of(statement)
        assert call is not None
        backend = self._backend
        answer = backend.statements.decide(call, portal.evaluate(backend, call.key_query))
        if answer is None:
            return True
        row = answer.row(is_binary=portal.is_binary)
        backend.execution.answer_call(statement, answer.notice + row)
        return False

    # -- errors -------------------------------------------------------------------------------

    def _check(self, statement: Statement) -> None:
        """Refuse everything but its end in a transaction that has failed."""
        if self._backend.session.has_failed and statement.kind not in _EXITS:
            self._flush_quietly()
            raise aborted()

    def _flush_quietly(self) -> None:
        self._segment = _Segment() if not self._segment.request else self._segment
        self._flush()


def _is_apart(statement: Statement) -> bool:
    """Whether what comes of *statement* has to be seen by itself."""
    return (
        statement.kind in _SESSIONS_OWN
        or statement.names_own_state
        or mode_to_show(statement.text) is not None
    )


_SESSIONS_OWN = _OF_CURSORS | {Kind.PREPARE, Kind.EXECUTE}


def _is_asked_first(statement: Statement) -> bool:
    """Whether parameters of *statement* are asked for before it is run."""
    if statement.is_ordinary:
        return False
    text = statement.text
    asks = call_of(statement) is not None or notify_call(statement) is not None
    return asks or ("set_config" in text and settings_to_ask(text) is not None)


def _unless_named(prepared: Prepared) -> bytes:
    return b"" if prepared.name else prepared.request


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "replace")
