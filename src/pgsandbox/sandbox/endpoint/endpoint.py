"""The endpoint itself: one loop that serves clients, the server, and the test process.

The clients take turns: while the server works for one of them, the others' messages wait in their
sockets. What can't wait is looked at in between: requests to cancel, and the test process, which
may want to end the test.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pgsandbox.sandbox.endpoint import polling
from pgsandbox.sandbox.endpoint.backend import Backend
from pgsandbox.sandbox.endpoint.calls import Calls
from pgsandbox.sandbox.endpoint.client import Client
from pgsandbox.sandbox.endpoint.database import TestDatabaseSession
from pgsandbox.sandbox.endpoint.server import ServerConnection, ServerLost

PORT = 5432
"""The number in the name of the Unix socket."""

_BACKLOG = 256
_HIGH_WATER = 512 * 1024
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
        self.calls = Calls(self, control)
        self.password = ""
        """What clients over TCP have to give."""
        self._folder = folder
        self._clients: dict[int, Client] = {}
        self._by_key: dict[tuple[int, int], Client] = {}
        self._numbers = 0
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
        for poll in (self._all, self._urgent):
            poll.register(self.calls, polling.IN)

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

    def listen_on_tcp(self, password: str) -> int:
        """Let clients that know *password* come over TCP, too, and return the port."""
        self.password = password
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind(("127.0.0.1", 0))
        self._listen(listener)
        port: int = listener.getsockname()[1]
        return port

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
        """Serve until the test process is gone."""
        control = self.calls.fileno()
        while not self.calls.is_over:
            events = self._all.poll(self._timeout())
            for fd, _ in events:
                if fd == control:
                    self.calls.receive()
            if self.calls.pending:
                self._answer_calls()
            self._serve_clients(events)
            self._look_after_waiting()
        self.close()

    def _answer_calls(self) -> None:
        while self.calls.pending:
            if self.calls.pending[0].method == "check":  # what clients have done before is in it
                self._serve_clients(self._all.poll(0))
            self._cancel_at = None
            self.calls.answer_next()

    def _serve_clients(self, events: Iterable[tuple[int, int]]) -> None:
        ready = self._ready(events)
        for client in ready:
            client.connection.receive()
        if len(self._clients) > 1:
            # epoll() tells in which order clients became ready, but keeps the place of those that
            # it has told of until it is asked again: who waits from now on would come after them.
            self._all.poll(0)
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
            if not self.calls.pending:
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
        self.calls.forget(client.token)
        client.close()

    def _timeout(self) -> float:
        if self._unserved or self.calls.pending:
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

    def stop_waiting(self) -> None:
        """End the waits of all clients with the test: nobody will free what they wait for."""
        for client in self._waiting():
            self._work_for(client, client.stop_at_end)
            self._tidy(client)

    # -- while the server works ---------------------------------------------------------------

    def _while_server_works(self, server: ServerConnection) -> None:
        """Wait until *server* can be read; cancel and end what has to be in the meantime."""
        fd = server.fileno()
        if self._watched is not server:
            self._watched = server
            self._urgent.register(fd, polling.IN)
        serving = self._serving
        if serving is not None and serving.connection.has_unsent and server.is_answering:
            serving.connection.flush()  # notices, say, of a statement that goes on
        events = self._urgent.poll(self._time_left(server))
        if len(events) == 1 and events[0][0] == fd:
            return
        if not events and self._is_in_vain(serving):
            server.cancel_for_client()
        self._cancel_from(fd for fd, _ in events)
        self.calls.receive()
        self.calls.answer_looks()
        if self.calls.is_over:
            raise ServerLost("the test run is over")
        if self._cancel_at is not None and time.monotonic() >= self._cancel_at:
            self._cancel_at = time.monotonic() + _AGAIN
            if not self.calls.pending and not self._somebody_waits(serving):
                return  # a fixture's teardown may take its time
            self.database.cancelled()
            self._cancelled += 1
            if self._cancelled <= _REQUESTS:
                server.cancel()
            else:
                self.database.terminate(server)

    def cancel_after(self, seconds: float) -> None:
        """Cancel what still runs in *seconds*, or sooner if that was asked for before."""
        now = time.monotonic()
        wanted = now + seconds
        self._end_by = wanted if self._end_by is None else min(self._end_by, wanted)
        self._cancel_at = max(self._end_by, now)

    def cancel_no_more(self) -> None:
        """Let what runs take its time again: the test's end is over."""
        self._end_by = None

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
        if self.calls.pending:
            return
        poll = select.poll()
        poll.register(client.connection, select.POLLOUT)
        for other in self._clients.values():
            if other is not client:
                if other.connection.has_input:
                    return
                poll.register(other.connection, select.POLLIN)
        for fd in (self.calls.fileno(), *self._listeners):
            poll.register(fd, select.POLLIN)
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

    def close(self) -> None:
        """End: the server rolls back what was not committed, which is everything."""
        for client in list(self._clients.values()):
            client.connection.close()
        for listener in self._listeners.values():
            listener.close()
        self.database.close()
