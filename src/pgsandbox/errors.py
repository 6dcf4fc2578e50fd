"""Every error of pgsandbox: what happened, what it means, what to do, where each fact came from.

One class per cause, so that a caller can catch exactly what it can handle::

    PgSandboxError
    ├── ConfigurationError              a setting is unknown, malformed or contradictory
    ├── ServerError
    │   ├── ServerUnreachable           nothing answers where the URL points
    │   ├── NotPostgreSQL               something answers there, but does not speak PostgreSQL
    │   ├── LoginRefused                the server answers and refuses this role or password
    │   ├── ServerTooOld                the server is older than the oldest supported version
    │   ├── ServerNotReady              the server is starting or stopping
    │   ├── PoolerInBetween             a pooler gives each transaction another session
    │   ├── TooFewConnections           the server has fewer connections left than the run needs
    │   ├── BinariesNotFound            no PostgreSQL programs to start an embedded server from
    │   └── ServerDidNotStart           the embedded server was started and did not come up
    ├── DatabaseError
    │   ├── MayNotCreateDatabases       the role lacks CREATEDB
    │   ├── NotATestDatabase            the database does not bear our mark: nothing was done to it
    │   ├── SharedStateChanged          a clone test has changed what all databases share
    │   ├── LeaseLost                   the session that held the database was ended
    │   └── AdministrationBlocked       an administrative statement reached its time limit
    ├── SchemaError
    │   └── SchemaNotBuilt              create_all or a migration failed
    ├── GuardError
    │   ├── DatabaseNotRequested        a test that did not ask for the database opened it
    │   └── ForeignDatabase             a connection to anything but the test database
    ├── SandboxError
    │   ├── TransactionsInterleaved     two transactions whose result one can't express
    │   ├── OuterTransactionEnded       a hidden COMMIT ended the transaction that holds the test
    │   ├── DeferredConstraintViolated  rows of the test break a deferred constraint at its end
    │   ├── EscapedFromSandbox          something of the test outlived its rollback
    │   ├── FixtureTooLate              a wider fixture wrote after the test had
    │   ├── UncommittedWrites           the application wrote rows that nothing committed
    │   ├── DirtyRead                   one connection read what another had not committed
    │   ├── NotInSandbox                a feature that only a database of its own can give
    │   └── SandboxLost                 the connection that holds the test was cut
    ├── FactoryError
    │   └── NoSession                   a factory was called where no test has a session
    └── QueryPerRow                 one line sent the same statement again and again

No message contains a password: URLs and settings are masked where they are collected
(``guard.masked``), and every headline and fact once more here, as SQL and other text is
(``guard.masked_sql``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from pgsandbox.masking import masked_sql


@dataclass(frozen=True)
class Fact:
    """One line of an error's table of facts."""

    name: str
    """What the value is: ``url``, ``mark``, ``test``."""
    value: str
    """The value; a URL is masked already, and no fact keeps the password of a statement."""
    source: str | None = None
    """Where the value came from: a setting, a variable, a catalog."""

    def __post_init__(self) -> None:
        """Hide what nobody has hidden: statements and servers' messages come here as they are."""
        object.__setattr__(self, "value", masked_sql(self.value))


class PgSandboxError(Exception):
    """The base of every error that pgsandbox raises.

    ``str()`` gives the whole message: the headline, the facts with their sources, the remedy and
    the command and the page of the reference that explain the class.
    """

    page: ClassVar[str] = "pgsandbox-error"

    def __init__(self, headline: str, *, facts: Iterable[Fact] = (), remedy: str = "") -> None:
        self.headline = headline = masked_sql(headline)
        self.facts = tuple(facts)
        self.remedy = remedy
        super().__init__(headline)

    def __str__(self) -> str:
        """The message as people read it."""
        parts = [self.headline]
        if self.facts:
            parts.append(_table(self.facts))
        # The command for those who have only the wheel, the page for those who read the site.
        background = (
            f"Background: pgsandbox explain {type(self).__name__} (reference/errors/{self.page}/)"
        )
        parts.append(f"{self.remedy}\n{background}" if self.remedy else background)
        return "\n\n".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way from an xdist worker to its controller."""
        return (_rebuild, (type(self), self.headline, self.facts, self.remedy))


def _rebuild(
    cls: type[PgSandboxError], headline: str, facts: tuple[Fact, ...], remedy: str
) -> PgSandboxError:
    return cls(headline, facts=facts, remedy=remedy)


def _table(facts: Iterable[Fact]) -> str:
    rows = list(facts)
    names = max(len(fact.name) for fact in rows)
    values = max((len(fact.value) for fact in rows if fact.source), default=0)
    lines = []
    for fact in rows:
        value = fact.value.replace("\n", "\n" + " " * (names + 6))
        line = f"  {fact.name:<{names}}    {value:<{values}}"
        lines.append(f"{line}  ({fact.source})" if fact.source else line.rstrip())
    return "\n".join(lines)


class ConfigurationError(PgSandboxError):
    """A setting is unknown, malformed, missing or contradicts another one."""

    page = "configuration-error"


class ServerError(PgSandboxError):
    """No usable PostgreSQL server."""

    page = "server-error"


class ServerUnreachable(ServerError):
    """Nothing answers where the URL points."""

    page = "server-unreachable"


class NotPostgreSQL(ServerError):
    """Something answers where the URL points, but it does not speak PostgreSQL's protocol."""

    page = "not-postgresql"


class LoginRefused(ServerError):
    """The server answers and refuses the role, its password or its way of connecting."""

    page = "login-refused"


class ServerTooOld(ServerError):
    """The server is older than the oldest version that pgsandbox supports."""

    page = "server-too-old"


class ServerNotReady(ServerError):
    """The server is starting or stopping, and takes nobody in yet."""

    page = "server-not-ready"


class PoolerInBetween(ServerError):
    """A pooler in transaction mode stands before the server: no session lasts, and no lease."""

    page = "pooler-in-between"


class TooFewConnections(ServerError):
    """The server has fewer connections left than the run needs."""

    page = "too-few-connections"


class BinariesNotFound(ServerError):
    """There are no PostgreSQL programs to start an embedded server from."""

    page = "binaries-not-found"


class ServerDidNotStart(ServerError):
    """The embedded server was started and did not come up in time."""

    page = "server-did-not-start"


class DatabaseError(PgSandboxError):
    """A database could not be created, used or dropped."""

    page = "database-error"


class MayNotCreateDatabases(DatabaseError):
    """The role may not create databases."""

    page = "may-not-create-databases"


class NotATestDatabase(DatabaseError):
    """The database does not bear pgsandbox's mark, so nothing was changed in it."""

    page = "not-a-test-database"


class SharedStateChanged(DatabaseError):
    """A test with a clone has changed what all databases of the server share."""

    page = "shared-state-changed"


class LeaseLost(DatabaseError):
    """The session by which a run held its database was ended, and another may have taken it."""

    page = "lease-lost"


class AdministrationBlocked(DatabaseError):
    """An administrative statement reached its time limit."""

    page = "administration-blocked"


class SchemaError(PgSandboxError):
    """The schema could not be built."""

    page = "schema-error"


class SchemaNotBuilt(SchemaError):
    """``create_all`` or a migration failed in the fresh test database."""

    page = "schema-not-built"


class GuardError(PgSandboxError):
    """A connection was refused."""

    page = "guard-error"


class DatabaseNotRequested(GuardError):
    """A test that did not ask for the database, or no test at all, opened it."""

    page = "database-not-requested"


class ForeignDatabase(GuardError):
    """A connection to anything but the test database was refused."""

    page = "foreign-database"


class SandboxError(PgSandboxError):
    """The one transaction of a sandboxed test could not do what was asked."""

    page = "sandbox-error"


class TransactionsInterleaved(SandboxError):
    """Two open transactions interleaved, and one on the server can't express the result."""

    page = "transactions-interleaved"


class OuterTransactionEnded(SandboxError):
    """A COMMIT or ROLLBACK hidden in a text ended the transaction that holds the test."""

    page = "outer-transaction-ended"


class DeferredConstraintViolated(SandboxError):
    """Rows of the test break a deferred constraint at the test's end."""

    page = "deferred-constraint-violated"


class EscapedFromSandbox(SandboxError):
    """Something that the test did outlived its rollback."""

    page = "escaped-from-sandbox"


class FixtureTooLate(SandboxError):
    """A fixture of a wider scope opened the database after the running test had written to it."""

    page = "fixture-too-late"


class UncommittedWrites(SandboxError):
    """The application wrote rows, and nothing had committed them when the test was over."""

    page = "uncommitted-writes"


class DirtyRead(SandboxError):
    """A connection read rows that another one of the application had not committed."""

    page = "dirty-read"


class NotInSandbox(SandboxError):
    """The code asked for a feature that only a database of its own can give."""

    page = "not-in-sandbox"


class SandboxLost(SandboxError):
    """The connection that holds the test was cut, and everything the test wrote went with it."""

    page = "sandbox-lost"


class FactoryError(PgSandboxError):
    """A factory could not make its object."""

    page = "factory-error"


class NoSession(FactoryError):
    """A factory was called where no test has a session."""

    page = "no-session"


class QueryPerRow(PgSandboxError):
    """One line of the application sent the same statement again and again, row by row."""

    page = "query-per-row"


REMEDY_FOR_A_CRASH = (
    "The server has crashed, or somebody has stopped it or ended the session: PostgreSQL restarts "
    "by itself when one of its processes was killed. Look at its log, and at the system's (dmesg) "
    "for want of memory; then run the tests again."
)
"""Of each error that finds a connection closed which was open a moment ago."""
REMEDY_FOR_A_FULL_DISK = (
    "The disk is full on which the server keeps its data: free space there. The embedded one keeps "
    "it below the folder of its socket, the host of the URL, in memory (/dev/shm) or in /tmp; "
    "PGSANDBOX_RUNDIR names another place."
)


def chain_of(raised: BaseException) -> Iterator[BaseException]:
    """Yield *raised*, then what it came of, as a traceback has them from its end."""
    error: BaseException | None = raised
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
