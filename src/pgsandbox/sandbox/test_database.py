"""One test database as the test process knows it: where it is, and the running test in it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from sqlalchemy.engine import URL

from pgsandbox import guard
from pgsandbox.errors import (
    REMEDY_FOR_A_CRASH,
    DatabaseError,
    Fact,
    PgSandboxError,
    SandboxLost,
    chain_of,
)
from pgsandbox.sandbox import children, endpoint_process, forks
from pgsandbox.sandbox.clones import Clone
from pgsandbox.sandbox.endpoint.sessions import Executed, Late
from pgsandbox.sandbox.endpoint_process import (
    PORT,
    EndpointFailure,
    EndpointProcess,
    error_from,
)
from pgsandbox.sandbox.rewriting import Destination
from pgsandbox.sandbox.routes import Route, Routes

_REMEDY_FOR_A_LOG_IN = (
    "The endpoint knows trust, password, MD5 and SCRAM authentication, and TLS. Where the server "
    "has crashed or was stopped meanwhile, its log says so; start the run again."
)


class TestDatabase:
    """One test database, behind an endpoint that holds the running test's transaction."""

    __test__ = False

    def __init__(
        self,
        name: str,
        url: URL,
        target: guard.Target,
        *,
        restarts_sequences: bool = False,
        observes: bool = False,
        moves_clock: bool = False,
        endpoint: EndpointProcess | None = None,
    ) -> None:
        self.name = name
        """What the settings call it: ``default``, or the name of a bind."""
        self.url = url
        """Its URL on the server, with the password."""
        self.target = target
        self.clone: Clone | None = None
        """The running test's own database, if it asked for one: then nothing is sandboxed."""
        self.former: list[guard.Target] = []
        """What earlier tests opened, clones and lost endpoints: their engines stay usable."""
        self.endpoint = endpoint
        self.routes = Routes()
        """The connections to it."""
        self.is_in_doubt = False
        """Whether a test may have changed the database for real: it must be recreated."""
        self.has_lost_data = False
        """Whether the rows of wider fixtures are gone, because their transaction ended."""
        self.is_lost = False
        """Whether the session that held the test that is over has ended."""
        self.has_told_loss = False
        """Whether that test was told."""
        self._restarts_sequences = restarts_sequences
        self._observes = observes
        self._moves_clock = moves_clock
        self._errors: dict[int, PgSandboxError] = {}
        """What made the running test fail, by what the endpoint calls it."""
        self._reported: set[int] = set()
        self._told: SandboxLost | None = None
        """What a test was told became of the endpoint."""
        self._children = children.ended()
        self._tcp: tuple[int, str] | None = None
        self.was_used = False
        """Whether the test that is over has sent a statement."""
        self.seen: dict[str, Any] | None = None
        """What was not committed at the end of the test's body, and who had read of it."""
        self.committed: set[str] = set()
        """Which of that was committed by the teardown of its fixtures."""
        self.late: list[Late] = []
        """Connections that went on after their test, and were refused."""
        forks.watch(self)

    # -- the endpoint -------------------------------------------------------------------------

    def start(self) -> None:
        """Start the endpoint's process, which needs a moment, ahead of `open`."""
        if self.endpoint is None:
            self.endpoint = EndpointProcess()
            self._tcp = None

    def open(self, parameters: Mapping[str, str]) -> None:
        """Let the endpoint connect to the server, and see the database as it is now.

        Raises:
            DatabaseError: it can't.
        """
        self.start()
        assert self.endpoint is not None
        try:
            self.endpoint.call(
                "open",
                parameters=dict(parameters),
                restarts_sequences=self._restarts_sequences,
                limit=endpoint_process.LIMIT,
                observes=self._observes,
                moves_clock=self._moves_clock,
            )
        except EndpointFailure as error:
            raise DatabaseError(
                f'pgsandbox could not connect to its test database "{self.url.database}".',
                facts=[Fact("server said", guard.masked(str(error)))],
                remedy=_REMEDY_FOR_A_LOG_IN,
            ) from error
        self.is_in_doubt = False

    def disconnect(self) -> None:
        """Let the endpoint close its session, so that the database can be copied or dropped."""
        if self.endpoint is not None:
            try:
                self.has_lost_data = self.endpoint.call("close")
            except SandboxLost:
                self.close()
                self.has_lost_data = True

    def begin_to_close(self) -> None:
        """Let the endpoint end its session, without waiting; nothing can be asked any more."""
        if self.endpoint is not None:
            self.endpoint.begin_to_close()

    def close(self) -> None:
        """End the endpoint."""
        if self.endpoint is not None:
            self.former += [self.endpoint_target] if self.endpoint_target else []
            self.endpoint.close()
        self.endpoint = None

    @property
    def destination(self) -> Destination:
        """Where connections of the application go, which the endpoint knows nothing of."""
        assert self.endpoint is not None
        return Destination(
            str(self.endpoint.folder),
            PORT,
            self.url.username or "postgres",
            self.url.database or "",
        )

    @property
    def endpoint_target(self) -> guard.Target | None:
        """What a connection to the endpoint opens."""
        if self.endpoint is None:
            return None
        return guard.Target(str(self.endpoint.folder), PORT, self.url.database)

    @property
    def endpoint_url(self) -> URL:
        """The URL by which other processes join the running test, over its Unix socket."""
        to = self.destination
        return URL.create(
            self.url.drivername,
            username=to.user,
            database=to.database,
            query={"host": str(to.host), "port": str(to.port)},
        )

    def tcp_url(self) -> URL:
        """Return the URL by which programs join the running test that know no Unix sockets.

        It goes to the loopback address, with a password of this run.
        """
        assert self.endpoint is not None
        if self._tcp is None:
            password = secrets.token_hex(12)
            self._tcp = self.endpoint.call("listen_on_tcp", password=password), password
        port, password = self._tcp
        return URL.create(
            "postgresql",
            username=self.url.username or "postgres",
            password=password,
            host="127.0.0.1",
            port=port,
            database=self.url.database,
        )

    def tcp_target(self) -> guard.Target | None:
        """Return what a connection to that URL opens; None if nobody has asked for it."""
        if self._tcp is None:
            return None
        return guard.Target("127.0.0.1", self._tcp[0], self.url.database)

    def route(self, label: str, **about: Any) -> tuple[Route | None, Destination]:
        """Return where a connection goes that is about to be made, and what it is known by.

        A forked process has no word with the endpoint: its connections are those of a stranger.
        """
        to = self.destination
        endpoint = self.endpoint
        assert endpoint is not None
        if not endpoint.is_ours:
            return None, to
        is_arranging = bool(about.get("is_arranging"))
        route = Route(self, endpoint, secrets.token_hex(8), is_arranging=is_arranging)
        endpoint.tell("announce", token=route.token, label=label, **about)
        self.routes.add(route, is_raw=bool(about.get("is_raw")))
        return route, Destination(to.host, to.port, to.user, to.database, token=route.token)

    # -- the running test ---------------------------------------------------------------------

    def enter(self, test: str, *, looks_for_uncommitted: bool = True) -> None:
        """From now on statements belong to *test*, which asked for the database.

        Unless it *looks_for_uncommitted* work, nobody asks what was not committed.
        """
        self._errors.clear()
        self._reported.clear()
        self.was_used = False
        self.seen = None
        self.committed.clear()
        self._tell("enter", test=test, looks_for_uncommitted=looks_for_uncommitted)

    def say(self, running: str, *, is_requested: bool) -> None:
        """Let messages name *running*, and let statements pass or not."""
        self._tell("say", running=running, is_requested=is_requested)

    def begin_teardown(self, timeout: float) -> None:
        """The test's body is over; a statement that runs for *timeout* seconds is cancelled."""
        self._tell("begin_teardown", cancel_after=timeout)

    def check(self, timeout: float = 10.0) -> list[PgSandboxError]:
        """Return what must make the test fail as it stands, at the end of its body.

        What its fixtures' teardown rolls back, nobody looks at; see `begin_teardown`.
        """
        try:
            said = self._ask("check", cancel_after=timeout) or {"errors": [], "seen": None}
        except SandboxLost as error:
            self._told = error
            return [error]
        self.seen = said["seen"]
        return self._unreported(said["errors"])

    def finish(
        self,
        test: str,
        *,
        timeout: float = 10.0,
        is_over: bool = True,
        has_written: bool = True,
    ) -> list[PgSandboxError]:
        """Roll *test* back, and return what must make it fail; never raises.

        Where nothing has written, as the set-up of a wider fixture, a thread loses nothing by it.
        """
        if self.clone is not None and self.clone.executed:
            self.was_used = True
        ended = children.ended()
        by_a_child = ended != self._children
        self._children = ended
        try:
            said = self._ask(
                "finish",
                test=test,
                by_a_child=by_a_child,
                is_over=is_over,
                has_written=has_written,
                cancel_after=timeout,
            )
        except PgSandboxError as error:
            self.close()
            self.is_in_doubt = self.has_lost_data = True
            return [error] if error is not self._told else []
        if said is None:
            return []
        self.is_in_doubt = self.is_in_doubt or said["is_in_doubt"]
        self.has_lost_data = said["has_lost_data"]
        self.is_lost, self.has_told_loss = said["is_lost"], said["has_told_loss"]
        self.was_used = self.was_used or said["was_used"]
        self.committed.update(said["committed"])
        self.routes.ended(undone=said["undone"], gone=said["gone"])
        # Whose the open transactions are is asked when they are over: before, a thread could still
        # have begun one.
        cut = self.routes.of_other_threads(said["open"]) if has_written else []
        if cut:
            self._ask("cut", tokens=cut)
        if said["late"]:
            self.take_late()
        return self._unreported(said["errors"])

    def crashed(self) -> SandboxLost:
        """Return what a test is told whose server ended the sessions of the run without its help.

        That is known when the test is over, and sent nothing that could have failed.
        """
        return SandboxLost(
            "The server ended all sessions of the run while the test ran, so its database is made "
            "anew.",
            facts=[Fact("database", self.url.database or "")],
            remedy=REMEDY_FOR_A_CRASH,
        )

    def hold(self, threads: AbstractSet[threading.Thread], test: str) -> None:
        """Refuse *threads* of *test*, which is over, the connections that they have still."""
        held = self.routes.hold(threads)
        if held:
            self._ask("hold", tokens=held, test=test)

    def let_go(self, route: Route) -> None:
        """The thread that held the connection of *route* has given it back."""
        route.is_held = False
        self._look("hold", tokens=[route.token], test="")

    def take_late(self) -> None:
        """Learn of connections that were refused because their test was over."""
        self.late.extend(Late(**each) for each in self._look("take_late") or [])

    def mark_reported(self, error: BaseException) -> None:
        """Remember that *error*, or what caused it, has made the test fail already."""
        for cause in chain_of(error):
            number = number_of(cause)
            if number is not None:
                self._reported.add(number)
            self._reported.update(n for n, each in self._errors.items() if each is cause)

    def _unreported(self, said: list[dict[str, Any]]) -> list[PgSandboxError]:
        found = []
        for each in said:
            number = each["id"]
            if number not in self._reported:
                self._reported.add(number)
                self._errors[number] = error_from(each)
                found.append(self._errors[number])
        return found

    @property
    def has_transaction(self) -> bool:
        """Whether the running test, or the fixture that is set up, has sent a statement."""
        state = self._ask("state")
        return bool(state and state["has_transaction"])

    def executed(self, since: int = 0) -> list[Executed]:
        """Return the statements that the running test sent to it so far, oldest first."""
        if self.clone is not None:
            return self.clone.executed[since:]
        return [Executed(*each) for each in self._look("executed", since=since) or []]

    def count_executed(self) -> int:
        """Return how many statements the running test has sent to it so far."""
        if self.clone is not None:
            return len(self.clone.executed)
        state = self._look("state")
        return int(state["executed"]) if state else 0

    def look_again(self) -> dict[str, Any] | None:
        """Return what is not committed now, and who has read of it."""
        self.seen = self._look("seen")
        return self.seen

    def story(self) -> dict[str, Any] | None:
        """Return what the running test sent to it, and what became of each statement."""
        found: dict[str, Any] | None = self._look("story")
        return found

    def clock(self, *, moment: str | None = None, seconds: float | None = None) -> str | None:
        """Set or advance the clock of the running test; return where it is, None in a clone."""
        if self.clone is not None:
            return None
        said: str = self._ask("clock", moment=moment, seconds=seconds)
        return said

    def take_observed(self) -> dict[str, Any] | None:
        """Return what tests have done to the schema since it was asked last, if that is kept."""
        observed: dict[str, Any] | None = self._look("take_observed")
        return observed

    def describe(self) -> tuple[list[str], list[str]]:
        """Return the open transactions, and what a reader of a failure should know."""
        said = self._look("describe") or {"open": [], "notes": []}
        return said["open"], said["notes"]

    def unseen(self, ask: Callable[[str], Any]) -> str | None:
        """Return what to tell of a failing test if others have opened its database meanwhile.

        *ask* returns the answer to a query that any connection to the server can send.
        """
        query = self._look("sessions_query")
        if query is None:
            return None
        by_a_child = children.ended() != self._children
        said: str | None = self._ask("unseen", sessions=int(ask(query)), by_a_child=by_a_child)
        return said

    def expect_session(self) -> None:
        """Count a session on this database that pgsandbox itself is about to open."""
        self._tell("expect_session")

    # -- fixtures of wider scopes -------------------------------------------------------------

    def set_aside(self, refusal: PgSandboxError | None) -> None:
        """Let a fixture of a wider scope begin a transaction, or else hear *refusal*."""
        said = None
        if refusal is not None:
            said = {
                "class": type(refusal).__name__,
                "headline": refusal.headline,
                "facts": [[each.name, each.value, each.source] for each in refusal.facts],
                "remedy": refusal.remedy,
            }
        self._tell("set_aside", refusal=said)

    def take_back(self) -> None:
        """Let the running test go on."""
        self._tell("take_back")

    def settle(self) -> list[PgSandboxError]:
        """Let what the fixture has made so far stand; return what contradicts it."""
        return self._unreported(self._ask("settle") or [])

    def freeze(self) -> int:
        """Let stand what a wider fixture has made; return its depth, 0 if it has made nothing."""
        return int(self._ask("freeze") or 0)

    def resume(self, depth: int) -> None:
        """Go on in what the fixture at *depth* has made."""
        self._tell("resume", depth=depth)

    def forget_lost_data(self) -> None:
        """Forget that rows of wider fixtures were lost."""
        self.has_lost_data = False
        self._tell("forget_lost_data")

    def _look(self, method: str, **arguments: Any) -> Any:
        """Ask for what a report tells, which goes on without it where the endpoint is gone."""
        try:
            return self._ask(method, **arguments)
        except SandboxLost:
            return None

    def _ask(self, method: str, **arguments: Any) -> Any:
        if self.endpoint is None or not self.endpoint.is_ours:
            return None
        try:
            return self.endpoint.call(method, **arguments)
        except EndpointFailure as error:
            raise SandboxLost(
                "The server did not do what the sandbox asked of it, so the sandbox is given up.",
                facts=[Fact("server said", guard.masked(str(error)))],
                remedy=REMEDY_FOR_A_CRASH,
            ) from error

    def _tell(self, method: str, **arguments: Any) -> None:
        if self.endpoint is not None:
            self.endpoint.tell(method, **arguments)


def number_of(error: BaseException) -> int | None:
    """Return what the endpoint calls its error that a driver has raised; None for any other."""
    about = getattr(error, "diag", error)
    if getattr(about, "schema_name", None) != "pgsandbox":
        return None
    number = getattr(about, "constraint_name", None)
    return int(number) if number else None
