"""The fixture ``db_clock``: the database's clock in the running test."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pgsandbox.errors import ConfigurationError, Fact

if TYPE_CHECKING:
    from pgsandbox.wiring import Run


class Clock:
    """The database's clock, which goes on with each transaction until the test sets it."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def now(self) -> datetime:
        """What a transaction that begins now takes for ``now()``."""
        return self._ask()

    def set(self, moment: datetime | None) -> None:
        """Let it stand at *moment*, which has a time zone; None lets it go on with the world's.

        Transactions of the application that have begun keep their beginning, as in production; the
        test's own session sees it at once.

        Raises:
            ValueError: *moment* has no time zone.
        """
        if moment is not None and moment.tzinfo is None:
            raise ValueError("A moment of the database's clock has a time zone.")
        self._ask(moment="" if moment is None else moment.isoformat())

    def advance(self, by: timedelta | None = None, **parts: float) -> None:
        """Let it stand later *by* a timedelta, or by its *parts*: ``advance(hours=1)``."""
        self._ask(seconds=((by or timedelta()) + timedelta(**parts)).total_seconds())

    def _ask(self, *, moment: str | None = None, seconds: float | None = None) -> datetime:
        if self._run.settings.clock != "moving":
            raise ConfigurationError(
                "The test asks for the database's clock, and the setting clock leaves it still.",
                facts=[Fact("clock", "still", self._run.settings.source_of("clock"))],
                remedy='Add clock = "moving" to [tool.pgsandbox].',
            )
        said = None
        for each in self._run.run_databases.values():
            said = each.database.clock(moment=moment, seconds=seconds) or said
        if said is None:
            raise ConfigurationError(
                "A test with a database of its own has the server's clock, which nobody sets.",
                facts=[Fact("isolation", "clone")],
                remedy="Let the test use the sandbox.",
            )
        return datetime.fromisoformat(said)
