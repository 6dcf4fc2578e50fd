"""The endpoint itself: one loop that serves clients, the server, and the test process.

The clients take turns: while the server works for one of them, the others' messages wait in their
sockets. What can't wait is looked at in between: requests to cancel, and the test process, which
may want to end the test.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from pgsandbox import errors
from pgsandbox.errors import Fact, PgSandboxError
from pgsandbox.sandbox.endpoint import polling, refusals, story
from pgsandbox.sandbox.endpoint.authentication import NotAuthenticatedError
from pgsandbox.sandbox.endpoint.backend import Backend
from pgsandbox.sandbox.endpoint.client import Client
from pgsandbox.sandbox.endpoint.clock import MovingClock
from pgsandbox.sandbox.endpoint.database import TestDatabaseSession
from pgsandbox.sandbox.endpoint.server import ServerConnection, ServerError, ServerLost
from pgsandbox.sandbox.endpoint.settings import quoted

PORT = 5432
"""The number in the name of the Unix socket."""

_BACKLOG = 256
_LOOKS_AGAIN = 1.0
"""Seconds after which the endpoint looks whether the client that the server works for is there."""
_AGAIN = 0.5
"""Seconds between two requests to cancel what the end of a test waits for."""
_SOON = 0.1
"""Seconds for a statement that begins when nobody has patience any more, and others wait."""
_REQUESTS = 5
"""How many are made, before the session is ended that heeds none: a handler may catch them."""


class Endpoint:
    """A PostgreSQL endpoint in front of one test database."""

    def __init__(self, control: socket.socket, folder: Path, test_process: int) -> None:
        self.test_process = test_process
        self.database = TestDatabaseSession(self._while_server_works)
        self.password = ""
        """What clients over TCP have to give."""
        self.known: dict[str, dict[str, Any]] = {}
        """What the test process has said of clients that it is about to connect, by token."""
        self.reported: dict[str, str] = {}
        """The server's parameters as it reported them when no client had set any."""
        self._control = control
        self._inbox = bytearray()
        self._calls: deque[tuple[int | None, str, dict[str, Any]]] = deque()
        self._folder = folder
        self._clients: dict[int, Client] = {}
        self._gone: list[str] = []
        """Clients that are gone, of those that no pool of the test process knows."""
        self._by_key: dict[tuple[int, int], Client] = {}
        self._numbers = 0
        self._is_over = False
        self._is_looking = False
        """Whether a call is answered while the server works, so that it can't be asked."""
        self._serving: Client | None = None
        self._ended: set[int] = set()
        """The process ids of clients that another one has ended."""
        self._cancel_at: float | None = None
        self._cancelled = 0
        """How often that was asked for, of the statement that runs."""
        self._end_by: float | None = None
        """When nobody is waited for any more at the end of the test, all its phases together."""
        self._listeners: dict[int, socket.socket] = {}
        self._unserved: list[Client] = []
        """Clients that were read while the server worked, and whose turn comes next."""
        self._urgent_clients: dict[int, Client] = {}
        """Clients that have not said yet whether they want to cancel, by descriptor."""
        self._watched: ServerConnection | None = None
        self._all = polling.poller()
        self._urgent = polling.poller()
        self._listen(self._on_socket_file())
        self._control.setblocking(False)
        for poll in (self._all, self._urgent):
            poll.register(self._control, polling.IN)

    # -- listening ----------------------------------------------------------------------------

    def _on_socket_file(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self._folder / f".s.PGSQL.{PORT}"))
        return listener

    def _listen(self, listener: socket.socket) -> None:
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        self._listeners[listener.fileno()] = listener
        for poll in (self._all, self._urgent):
            poll.register(listener, polling.IN)

    def _accept(self, listener: socket.socket) -> list[Client]:
        accepted: list[Client] = []
        while True:
            try:
                found, _ = listener.accept()
            except (BlockingIOError, InterruptedError):
                return accepted
            except OSError:
                return accepted
            self._numbers += 1
            client = Client(self, found, self._numbers)
            self._clients[found.fileno()] = client
            self._by_key[client.pid, client.key] = client
            self._all.register(found, polling.IN)
            self._urgent.register(found, polling.IN)
            self._urgent_clients[found.fileno()] = client
            accepted.append(client)

    # -- the loop -----------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until the test process is gone or says that it is over."""
        control = self._control.fileno()
        while not self._is_over:
            events = self._all.poll(self._timeout())
            for fd, _ in events:
                if fd == control:
                    self._take_control()
            if self._calls:
                self._run_calls()
            self._serve_clients(events)
            self._look_after_waiting()
        self.close()

    def _serve_clients(self, events: Iterable[tuple[int, int]]) -> None:
        ready = self._ready(events)
        for client in ready:
            client.connection.receive()
        # Those that leave come first: what they have not committed, nobody sees any more.
        # Then those that are new: what one has said that wants to cancel is read already.
        if len(ready) > 1:
            ready.sort(key=lambda each: (not each.connection.is_leaving, each.backend is not None))
        for client in ready:
            self._serve(client)

    def _ready(self, events: Iterable[tuple[int, int]]) -> list[Client]:
        """Return the clients that want to be served."""
        ready, self._unserved = self._unserved, []
        for fd, event in events:
            client = self._clients.get(fd)
            if client is not None:
                ready.append(client)
                if event & polling.OUT:
                    client.connection.flush()
            elif fd in self._listeners:
                ready.extend(self._accept(self._listeners[fd]))
        return ready

    def _serve(self, client: Client) -> None:
        if client.connection.fileno() not in self._clients:
            return  # another one has just ended it
        if client.connection.fileno() in self._urgent_clients and client.says_who_it_is():
            self._forget_urgent(client)
        self._work_for(client, client.serve)
        self._tidy(client)

    def _work_for(self, client: Client, work: Callable[[], None]) -> None:
        self._serving = client
        self._cancelled = 0
        if self._end_by is not None and self._cancel_at is None:
            self._cancel_at = max(self._end_by, time.monotonic() + _SOON)
        try:
            work()
        finally:
            self._serving = None
            if not self._calls:
                self._cancel_at = None
        if self._ended:
            ended, self._ended = self._ended, set()
            for other in [each for each in self._clients.values() if each.pid in ended]:
                other.end()
                self._tidy(other)

    def end_clients(self, pids: set[int]) -> None:
        """End the clients of these process ids, as soon as the one that is served has its turn."""
        self._ended |= pids

    def _tidy(self, client: Client) -> None:
        if client.connection.is_closed:
            self._drop(client)
            return
        self.watch_for_sending(client)

    def watch_for_sending(self, client: Client) -> None:
        """Send what waits for *client* as soon as it takes it."""
        waits_to_send = len(client.connection.outgoing) > 0
        if waits_to_send is client.is_watched_for_sending:
            return
        client.is_watched_for_sending = waits_to_send
        with contextlib.suppress(OSError, ValueError):
            self._all.modify(client.connection, polling.IN | (polling.OUT if waits_to_send else 0))

    def _drop(self, client: Client) -> None:
        fd = client.connection.fileno()
        if self._clients.pop(fd, None) is None:
            return
        self._forget_urgent(client)
        with contextlib.suppress(OSError, ValueError):
            self._all.unregister(fd)
        self._by_key.pop((client.pid, client.key), None)
        if self.known.pop(client.token, {}).get("is_raw"):
            self._gone.append(client.token)
        client.close()

    def _timeout(self) -> float:
        if self._unserved or self._calls:
            return 0.0
        deadlines = [each.waits_until for each in self._waiting() if each.waits_until is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else -1

    def _waiting(self) -> list[Client]:
        if not self.database.advisory.waiting:
            return []
        return [each for each in self._clients.values() if each.waiting is not None]

    def _look_after_waiting(self) -> None:
        for client in self._waiting():
            backend = client.backend
            if client.connection.is_closed or backend is None:
                self._drop(client)
            elif self.database.advisory.is_free_for(backend):
                self._work_for(client, client.try_again)
                self._tidy(client)
            elif client.waits_until is not None and time.monotonic() > client.waits_until:
                self.database.advisory.waiting.pop(backend, None)
                self._work_for(client, client.time_is_over)
                self._tidy(client)

    # -- while the server works ---------------------------------------------------------------

    def _while_server_works(self, server: ServerConnection) -> None:
        """Wait until *server* can be read; cancel and end what has to be in the meantime."""
        fd = server.fileno()
        if self._watched is not server:
            self._watched = server
            self._urgent.register(fd, polling.IN)
        serving = self._serving
        if serving is not None and serving.connection.has_unsent:
            serving.connection.flush()  # notices, say, of a statement that goes on
        if len(self._clients) > 1:
            # epoll() tells in which order clients became ready, but keeps the place of the one that
            # is served until it is asked again: who has waited in the meantime would come after it.
            self._all.poll(0)
        events = self._urgent.poll(self._time_left(server))
        if len(events) == 1 and events[0][0] == fd:
            return
        if not events and self._is_in_vain(serving):
            server.cancel_for_client()
        self._cancel_from(fd for fd, _ in events)
        self._take_control()
        self._answer_looks()
        if self._is_over:
            raise ServerLost("the test run is over")
        if self._cancel_at is not None and time.monotonic() >= self._cancel_at:
            self._cancel_at = time.monotonic() + _AGAIN
            if not self._calls and not self._somebody_waits(serving):
                return  # a fixture's teardown may take its time
            self.database.cancelled()
            self._cancelled += 1
            if self._cancelled <= _REQUESTS:
                server.cancel()
            else:
                self.database.terminate(server)

    def _somebody_waits(self, serving: Client | None) -> bool:
        """Whether another client wants its turn while the server works: the test's own, say."""
        others = [each for each in self._clients.values() if each is not serving]
        return any(each.connection.has_sent for each in others)

    def _time_left(self, server: ServerConnection) -> float:
        moments = [each for each in (server.deadline, self._cancel_at) if each is not None]
        if not moments:
            return _LOOKS_AGAIN
        return min(_LOOKS_AGAIN, max(0.0, min(moments) - time.monotonic()) + 0.001)

    def _is_in_vain(self, serving: Client | None) -> bool:
        """Whether the server works for a client that is gone, while others wait for their turn.

        A server does not look either (``client_connection_check_interval``), but its other clients
        do not wait.
        """
        return (
            serving is not None and serving.connection.has_hung_up and self._somebody_waits(serving)
        )

    def _only_cancel(self, client: Client) -> None:
        """Serve a new client that wants nothing but to cancel; others wait for their turn."""
        client.connection.receive()
        if client.serve_urgently():
            self._forget_urgent(client)
            if client.connection.is_closed:
                self._tidy(client)
            else:
                self._unserved.append(client)

    def _forget_urgent(self, client: Client) -> None:
        fd = client.connection.fileno()
        if self._urgent_clients.pop(fd, None) is not None:
            with contextlib.suppress(OSError, ValueError):
                self._urgent.unregister(fd)

    def told_of(self, token: str) -> dict[str, Any]:
        """Return what the test process has said of the client that it calls *token*.

        It said so before it connected, but a client may be accepted before that is read.
        """
        if token and token not in self.known:
            self._take_control()
            for call in [each for each in self._calls if each[1] == "announce"]:
                self._calls.remove(call)
                self._run_call(*call)
        return self.known.get(token, {})

    def backend_of(self, token: str) -> Backend | None:
        """Return the session of the client that the test process calls *token*."""
        for client in self._clients.values():
            if token and client.token == token:
                return client.backend.root if client.backend is not None else None
        return None

    def cancel(self, pid: int, key: int) -> None:
        """Cancel what the client with this key is running or waiting for."""
        client = self._by_key.get((pid, key))
        if client is None:
            return
        if client.waiting is not None and client.backend is not None:
            client.cancel_wait()
            return
        if client is not self._serving:
            client.cancel_unserved()
            if client.connection.has_input or client.connection.is_closed:
                self._unserved.append(client)  # it is read, so poll() knows nothing of it
            return
        client.is_cancelled = True
        if self.database.server is not None:
            self.database.server.cancel_for_client()

    def wait_for_reader(self, client: Client) -> None:
        """Wait until *client* has read some of what waits for it, unless others want their turn."""
        if self._calls:
            return
        poll = select.poll()
        poll.register(client.connection, select.POLLOUT)
        for other in self._clients.values():
            if other is not client:
                if other.connection.has_input:
                    return
                poll.register(other.connection, select.POLLIN)
        for each in (self._control, *self._listeners.values()):
            poll.register(each, select.POLLIN)
        while len(client.connection.outgoing) > _HIGH_WATER and not client.connection.is_closed:
            events = poll.poll(1000)
            client.connection.flush()
            if self._cancel_from(fd for fd, _ in events):
                return  # it reads on when it has heard that its request was taken
            if any(fd != client.connection.fileno() for fd, _ in events):
                return

    def _cancel_from(self, descriptors: Iterable[int]) -> bool:
        """Look for requests to cancel at these *descriptors*; whether there may be one."""
        found = False
        for fd in descriptors:
            if fd in self._listeners:
                for client in self._accept(self._listeners[fd]):
                    self._only_cancel(client)
                found = True
            elif fd in self._urgent_clients:
                self._only_cancel(self._urgent_clients[fd])
                found = True
        return found

    # -- the test process ---------------------------------------------------------------------

    def _take_control(self) -> None:
        while True:
            try:
                received = self._control.recv(_CHUNK)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                received = b""
            if not received:
                self._is_over = True
                break
            self._inbox += received
            if len(received) < _CHUNK:
                break
        while len(self._inbox) >= 4:
            (length,) = struct.unpack_from("!I", self._inbox)
            if len(self._inbox) < 4 + length:
                break
            number, method, arguments = json.loads(self._inbox[4 : 4 + length])
            del self._inbox[: 4 + length]
            if "cancel_after" in arguments:
                now = time.monotonic()
                wanted = now + arguments.pop("cancel_after")
                self._end_by = wanted if self._end_by is None else min(self._end_by, wanted)
                self._cancel_at = max(self._end_by, now)
            self._calls.append((number, method, arguments))

    def _run_calls(self) -> None:
        while self._calls:
            if self._calls[0][1] == "check":  # what clients have done before belongs to it
                self._serve_clients(self._all.poll(0))
            call = self._calls.popleft()
            self._cancel_at = None
            self._run_call(*call)

    def _answer_looks(self) -> None:
        """Answer the calls that only look, although the server works for a client."""
        self._is_looking = True
        for call in [each for each in self._calls if each[1] in _LOOKS]:
            self._calls.remove(call)
            self._run_call(*call)
        self._is_looking = False

    def _run_call(self, number: int | None, method: str, arguments: dict[str, Any]) -> None:
        try:
            answer: dict[str, Any] = {"result": getattr(self, f"do_{method}")(**arguments)}
        except PgSandboxError as error:
            answer = {"error": as_json(error)}
        except (OSError, ServerError, ServerLost, NotAuthenticatedError) as error:
            answer = {"failure": f"{type(error).__name__}: {error}"}
        except Exception as error:  # noqa: BLE001  # a fault of ours, which ends no test run
            answer = {"error": as_json(self.database.broke_down(error))}
        if number is not None:
            self._reply(number, answer)

    def _reply(self, number: int, answer: dict[str, Any]) -> None:
        body = json.dumps([number, answer]).encode()
        self._control.setblocking(True)
        with contextlib.suppress(OSError):
            self._control.sendall(struct.pack("!I", len(body)) + body)
        self._control.setblocking(False)

    # What the test process may call, each with the arguments that it sends.

    def do_open(
        self,
        parameters: dict[str, str],
        restarts_sequences: bool,
        limit: float = 15.0,
        observes: bool = False,
        moves_clock: bool = False,
    ) -> None:
        if moves_clock and not isinstance(self.database.clock, MovingClock):
            self.database.clock = MovingClock()
        self.database.limit, self.database.observes = limit, observes
        self.database.open(parameters, restarts_sequences=restarts_sequences)
        if self.database.server is not None:
            self.reported = dict(self.database.server.reported)

    def do_close(self) -> bool:
        self.database.close()
        return self.database.has_lost_data

    def do_listen_on_tcp(self, password: str) -> int:
        self.password = password
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind(("127.0.0.1", 0))
        self._listen(listener)
        port: int = listener.getsockname()[1]
        return port

    def do_announce(self, token: str, **about: Any) -> None:
        self.known[token] = about

    def do_set_up_done(self, token: str) -> None:
        for client in self._clients.values():
            if client.token == token and client.backend is not None:
                client.backend.set_up_done()

    def do_enter(self, test: str, looks_for_uncommitted: bool = True) -> None:
        self._end_by = None
        self.database.enter(test)
        self.database.looks_for_uncommitted = looks_for_uncommitted

    def do_say(self, running: str, is_requested: bool) -> None:
        self._end_by = None
        self.database.say(running, is_requested=is_requested)

    def do_begin_teardown(self) -> None:
        self.database.begin_teardown()

    def do_check(self) -> dict[str, Any]:
        errors = _as_list(self.database.check())
        seen = story.seen(self.database)
        self.database.begin_teardown()
        return {"errors": errors, "seen": seen}

    def do_seen(self) -> dict[str, Any] | None:
        return story.seen(self.database)

    def do_story(self) -> dict[str, Any] | None:
        return story.told(self.database, may_ask=not self._is_looking)

    def do_finish(
        self, test: str, by_a_child: bool, is_over: bool, has_written: bool = True
    ) -> dict[str, Any]:
        database = self.database
        used = bool(database.executed())
        running = database.transaction
        for client in self._waiting():  # nobody will free what they wait for
            self._work_for(client, client.stop_at_end)
            self._tidy(client)
        gone, self._gone = self._gone, []
        found = database.finish(
            test, by_a_child=by_a_child, is_over=is_over, has_written=has_written
        )
        return {
            "errors": _as_list(found),
            "is_in_doubt": database.is_in_doubt,
            "has_lost_data": database.has_lost_data,
            "was_used": used,
            "committed": story.committed(running),
            "undone": [each.client.token for each in database.backends if each.wrote_in_set_up],
            "late": len(database.late),
            "gone": gone,
            "open": [each.client.token for each in database.backends if each.is_left_open],
        }

    def do_cut(self, tokens: list[str]) -> None:
        for backend in self.database.backends:
            if backend.client.token in tokens and backend.is_left_open:
                backend.is_cut = True

    def do_hold(self, tokens: list[str], test: str) -> None:
        for backend in self.database.backends:
            if backend.client.token in tokens:
                backend.held_since = test

    def do_take_late(self) -> list[dict[str, str]]:
        return [asdict(each) for each in self.database.take_late()]

    def do_live(self) -> None:
        pass

    def do_state(self) -> dict[str, Any]:
        database = self.database
        return {
            "has_transaction": database.transaction is not None,
            "executed": len(database.executed()),
            "is_in_doubt": database.is_in_doubt,
            "has_lost_data": database.has_lost_data,
        }

    def do_executed(self, since: int) -> list[tuple[str, str]]:
        return [(each.text, each.connection) for each in self.database.executed()[since:]]

    def do_describe(self) -> dict[str, list[str]]:
        transaction = self.database.transaction
        if transaction is None:
            return {"open": [], "notes": []}
        return {"open": transaction.open_transactions(), "notes": transaction.stack.notes}

    def do_take_observed(self) -> dict[str, Any] | None:
        observation = self.database.observation
        return observation.take() if observation is not None else None

    def do_clock(self, moment: str | None = None, seconds: float | None = None) -> str:
        clock = self.database.clock
        assert isinstance(clock, MovingClock)
        if moment is not None:
            clock.set(datetime.fromisoformat(moment) if moment else None)
        if seconds is not None:
            clock.advance(seconds)
        return clock.now.isoformat()

    def do_set_aside(self, refusal: dict[str, Any] | None) -> None:
        self.database.set_aside(None if refusal is None else from_json(refusal))

    def do_take_back(self) -> None:
        self.database.take_back()

    def do_settle(self) -> list[dict[str, Any]]:
        return _as_list(self.database.settle())

    def do_freeze(self) -> int:
        return len(self.database.standing) if self.database.freeze() else 0

    def do_resume(self, depth: int) -> None:
        self.database.resume(depth)

    def do_forget_lost_data(self) -> None:
        self.database.has_lost_data = False

    def do_sessions_query(self) -> str | None:
        return self.database.sessions_query()

    def do_unseen(self, sessions: int, by_a_child: bool) -> str | None:
        return self.database.unseen(sessions, by_a_child=by_a_child)

    def do_expect_session(self) -> None:
        self.database.expect_session()

    # -- what clients ask for at their start --------------------------------------------------

    def checked(self, wanted: dict[str, str]) -> dict[str, str]:
        """Return *wanted* parameters as the server writes them; nothing is left of them there.

        Raises:
            ServerError: it does not take one.
        """
        if not wanted or self.database.server is None:
            return wanted
        server = self.database.server
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

    def close(self) -> None:
        """End: the server rolls back what was not committed, which is everything."""
        for client in list(self._clients.values()):
            client.connection.close()
        for listener in self._listeners.values():
            listener.close()
        self.database.close()


_LOOKS = frozenset({"live", "story", "executed", "state", "describe", "sessions_query", "unseen"})
"""Calls that change nothing and need no server."""
_HIGH_WATER = 512 * 1024
_CHUNK = 65536


def as_json(error: PgSandboxError) -> dict[str, Any]:
    """Return *error* as the test process reads it."""
    return {
        "class": type(error).__name__,
        "headline": error.headline,
        "facts": [[fact.name, fact.value, fact.source] for fact in error.facts],
        "remedy": error.remedy,
    }


def from_json(said: dict[str, Any]) -> PgSandboxError:
    """Return the error that `as_json` wrote down."""
    kind: Callable[..., PgSandboxError] = getattr(errors, said["class"])
    return kind(
        said["headline"], facts=[Fact(*each) for each in said["facts"]], remedy=said["remedy"]
    )


def _as_list(found: list[PgSandboxError]) -> list[dict[str, Any]]:
    return [{"id": refusals.number_of(error), **as_json(error)} for error in found]
