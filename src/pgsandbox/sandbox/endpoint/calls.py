"""What the test process may ask of the endpoint, and its answers over the control socket.

A call is a number, the name of a method, and arguments: JSON behind its length in four bytes. The
answer has the same number; one without a number is not answered.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pgsandbox import errors
from pgsandbox.errors import Fact, PgSandboxError
from pgsandbox.sandbox.endpoint import refusals, story
from pgsandbox.sandbox.endpoint.authentication import NotAuthenticatedError
from pgsandbox.sandbox.endpoint.clock import MovingClock
from pgsandbox.sandbox.endpoint.server import ServerError, ServerLost

if TYPE_CHECKING:
    from pgsandbox.sandbox.endpoint.endpoint import Endpoint

_LOOKS = frozenset({"live", "story", "executed", "state", "describe", "sessions_query", "unseen"})
"""Calls that change nothing and need no server."""
_ANNOUNCES = frozenset({"announce"})
_CHUNK = 65536


class Call(NamedTuple):
    """One call of the test process."""

    number: int | None
    """None if nobody waits for its answer."""
    method: str
    arguments: dict[str, Any]


class Calls:
    """The calls of the test process, and what it has said in them of its clients."""

    def __init__(self, endpoint: Endpoint, control: socket.socket) -> None:
        self.pending: deque[Call] = deque()
        """Those that are not answered yet."""
        self.is_over = False
        """Whether the test process is gone."""
        self._endpoint = endpoint
        self._database = endpoint.database
        self._control = control
        self._control.setblocking(False)
        self._inbox = bytearray()
        self._known: dict[str, dict[str, Any]] = {}
        """What was said of clients that are about to connect, by token."""
        self._gone: list[str] = []
        """Clients that are gone, of those that no pool of the test process knows."""
        self._is_looking = False
        """Whether a call is answered while the server works, so that it can't be asked."""

    def fileno(self) -> int:
        """Return the descriptor of the control socket."""
        return self._control.fileno()

    def receive(self) -> None:
        """Read what the test process has sent; what it asks for is `pending` then."""
        while True:
            try:
                received = self._control.recv(_CHUNK)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                received = b""
            if not received:
                self.is_over = True
                break
            self._inbox += received
            if len(received) < _CHUNK:
                break
        while len(self._inbox) >= 4:
            (length,) = struct.unpack_from("!I", self._inbox)
            if len(self._inbox) < 4 + length:
                break
            call = Call(*json.loads(self._inbox[4 : 4 + length]))
            del self._inbox[: 4 + length]
            if "cancel_after" in call.arguments:
                self._endpoint.cancel_after(call.arguments.pop("cancel_after"))
            self.pending.append(call)

    def answer_next(self) -> None:
        """Do what the oldest call asks for, and answer it."""
        self._answer(self.pending.popleft())

    def answer_looks(self) -> None:
        """Answer the calls that only look, although the server works for a client."""
        self._is_looking = True
        self._answer_all(_LOOKS)
        self._is_looking = False

    def told_of(self, token: str) -> dict[str, Any]:
        """Return what the test process has said of the client that it calls *token*.

        It said so before it connected, but a client may be accepted before that is read.
        """
        if token and token not in self._known:
            self.receive()
            self._answer_all(_ANNOUNCES)
        return self._known.get(token, {})

    def forget(self, token: str) -> None:
        """Forget the client that the test process calls *token*: it is gone."""
        if self._known.pop(token, {}).get("is_raw"):
            self._gone.append(token)

    def _answer_all(self, methods: frozenset[str]) -> None:
        """Answer the calls of these *methods* before those that came earlier."""
        for call in [each for each in self.pending if each.method in methods]:
            self.pending.remove(call)
            self._answer(call)

    def _answer(self, call: Call) -> None:
        try:
            answer = {"result": getattr(self, f"do_{call.method}")(**call.arguments)}
        except PgSandboxError as error:
            answer = {"error": as_json(error)}
        except (OSError, ServerError, ServerLost, NotAuthenticatedError) as error:
            answer = {"failure": f"{type(error).__name__}: {error}"}
        except Exception as error:  # noqa: BLE001  # a fault of ours, which ends no test run
            answer = {"error": as_json(self._database.broke_down(error))}
        if call.number is not None:
            self._reply(call.number, answer)

    def _reply(self, number: int, answer: dict[str, Any]) -> None:
        body = json.dumps([number, answer]).encode()
        self._control.setblocking(True)
        with contextlib.suppress(OSError):
            self._control.sendall(struct.pack("!I", len(body)) + body)
        self._control.setblocking(False)

    # -- what it may call, each with the arguments that it sends ------------------------------

    def do_open(
        self,
        parameters: dict[str, str],
        restarts_sequences: bool,
        limit: float = 15.0,
        observes: bool = False,
        moves_clock: bool = False,
    ) -> None:
        if moves_clock and not isinstance(self._database.clock, MovingClock):
            self._database.clock = MovingClock()
        self._database.limit, self._database.observes = limit, observes
        self._database.open(parameters, restarts_sequences=restarts_sequences)

    def do_close(self) -> bool:
        self._database.close()
        return self._database.has_lost_data

    def do_listen_on_tcp(self, password: str) -> int:
        return self._endpoint.listen_on_tcp(password)

    def do_announce(self, token: str, **about: Any) -> None:
        self._known[token] = about

    def do_set_up_done(self, token: str) -> None:
        for backend in self._database.backends:
            if backend.client.token == token:
                backend.set_up_done()

    def do_enter(self, test: str, looks_for_uncommitted: bool = True) -> None:
        self._endpoint.cancel_no_more()
        self._database.enter(test)
        self._database.looks_for_uncommitted = looks_for_uncommitted

    def do_say(self, running: str, is_requested: bool) -> None:
        self._endpoint.cancel_no_more()
        self._database.say(running, is_requested=is_requested)

    def do_begin_teardown(self) -> None:
        self._database.begin_teardown()

    def do_check(self) -> dict[str, Any]:
        errors = _as_list(self._database.check())
        seen = story.seen(self._database)
        self._database.begin_teardown()
        return {"errors": errors, "seen": seen}

    def do_seen(self) -> dict[str, Any] | None:
        return story.seen(self._database)

    def do_story(self) -> dict[str, Any] | None:
        return story.told(self._database, may_ask=not self._is_looking)

    def do_finish(
        self, test: str, by_a_child: bool, is_over: bool, has_written: bool = True
    ) -> dict[str, Any]:
        database = self._database
        used = bool(database.executed())
        running = database.transaction
        self._endpoint.stop_waiting()
        gone, self._gone = self._gone, []
        found = database.finish(
            test, by_a_child=by_a_child, is_over=is_over, has_written=has_written
        )
        return {
            "errors": _as_list(found),
            "is_in_doubt": database.is_in_doubt,
            "has_lost_data": database.has_lost_data,
            "is_lost": database.is_lost,
            "has_told_loss": database.has_told_loss,
            "was_used": used,
            "committed": story.committed(running),
            "undone": [each.client.token for each in database.backends if each.wrote_in_set_up],
            "late": len(database.late),
            "gone": gone,
            "open": [each.client.token for each in database.backends if each.is_left_open],
        }

    def do_cut(self, tokens: list[str]) -> None:
        for backend in self._database.backends:
            if backend.client.token in tokens and backend.is_left_open:
                backend.is_cut = True

    def do_hold(self, tokens: list[str], test: str) -> None:
        for backend in self._database.backends:
            if backend.client.token in tokens:
                backend.held_since = test

    def do_take_late(self) -> list[dict[str, str]]:
        return [asdict(each) for each in self._database.take_late()]

    def do_live(self) -> None:
        pass

    def do_state(self) -> dict[str, Any]:
        database = self._database
        return {
            "has_transaction": database.transaction is not None,
            "executed": len(database.executed()),
            "is_in_doubt": database.is_in_doubt,
            "has_lost_data": database.has_lost_data,
        }

    def do_executed(self, since: int) -> list[tuple[str, str]]:
        return [(each.text, each.connection) for each in self._database.executed()[since:]]

    def do_describe(self) -> dict[str, list[str]]:
        transaction = self._database.transaction
        if transaction is None:
            return {"open": [], "notes": []}
        return {"open": transaction.open_transactions(), "notes": transaction.stack.notes}

    def do_take_observed(self) -> dict[str, Any] | None:
        observation = self._database.observation
        return observation.take() if observation is not None else None

    def do_clock(self, moment: str | None = None, seconds: float | None = None) -> str:
        clock = self._database.clock
        assert isinstance(clock, MovingClock)
        if moment is not None:
            clock.set(datetime.fromisoformat(moment) if moment else None)
        if seconds is not None:
            clock.advance(seconds)
        return clock.now.isoformat()

    def do_set_aside(self, refusal: dict[str, Any] | None) -> None:
        self._database.set_aside(None if refusal is None else from_json(refusal))

    def do_take_back(self) -> None:
        self._database.take_back()

    def do_settle(self) -> list[dict[str, Any]]:
        return _as_list(self._database.settle())

    def do_freeze(self) -> int:
        return len(self._database.standing) if self._database.freeze() else 0

    def do_resume(self, depth: int) -> None:
        self._database.resume(depth)

    def do_forget_lost_data(self) -> None:
        self._database.has_lost_data = False

    def do_sessions_query(self) -> str | None:
        return self._database.sessions_query()

    def do_unseen(self, sessions: int, by_a_child: bool) -> str | None:
        return self._database.unseen(sessions, by_a_child=by_a_child)

    def do_expect_session(self) -> None:
        self._database.expect_session()


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
