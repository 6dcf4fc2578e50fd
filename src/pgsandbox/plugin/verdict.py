"""What is held against a test that has passed: that it fails for it, or is named in the summary.

Its transaction did not hold; its application wrote without a commit; a refused connection was
swallowed; a line sent the same statement too often; tasks were left unfinished.
"""

from __future__ import annotations

import functools

import pytest

from pgsandbox.config.kinds import Repetitions
from pgsandbox.errors import PgSandboxError
from pgsandbox.plugin import reporting
from pgsandbox.plugin.held_values import held_by
from pgsandbox.plugin.marker import Choice
from pgsandbox.plugin.pending_tasks import PendingTasks
from pgsandbox.plugin.reporting import RunSummary
from pgsandbox.sandbox.repeated_queries import RepetitionWatch
from pgsandbox.sandbox.uncommitted import Found
from pgsandbox.wiring import Run


class Verdict:
    """Watches the running test, and judges it by what it asks for and what the settings say."""

    def __init__(self, run: Run, summary: RunSummary) -> None:
        self.left: list[str] = []
        """The tasks that the running test's body has left."""
        self._run = run
        self._settings = run.settings
        self._summary = summary
        self._tasks = PendingTasks(run.test.loops)
        self._repetitions = RepetitionWatch(run.judge.is_arranging)
        self._found: list[Found] = []
        """What the running test's application has not committed."""

    def enter(self, choice: Choice) -> None:
        """A test that makes this *choice* begins to use the database."""
        self._found = []
        self._repetitions.begin(self._repetitions_of(choice).limit)

    def begin_body(self, item: pytest.Item) -> None:
        """What the fixtures of *item* have begun is not its own."""
        self._tasks.begin(getattr(item, "funcargs", {}).values())
        self.left = []

    def end_body(self) -> None:
        """Learn what the body has left, whether it passed or not."""
        self.left = self._tasks.left()

    def on_body(
        self, item: pytest.Item, choice: Choice, *, is_entered: bool
    ) -> PgSandboxError | None:
        """Return what must make *item* fail, whose body has passed."""
        errors = self._run.test.check() if is_entered else []
        if errors:
            return errors[0]
        if is_entered:
            self._found = self._run.test.uncommitted(functools.partial(held_by, item))
        swallowed = reporting.swallowed(self._run, item.path)
        if swallowed and self._settings.swallowed_refusals == "fail":
            return swallowed[0]
        if swallowed and self._settings.swallowed_refusals == "warn":
            self._summary.swallowed.append(reporting.line_of_swallowed(item.nodeid, swallowed[0]))
        if self.left:
            self._summary.pending.append(f"{item.nodeid} ({'; '.join(self.left)})")
        return self._on_repetitions(item, choice) if is_entered else None

    def _on_repetitions(self, item: pytest.Item, choice: Choice) -> PgSandboxError | None:
        """Return the error, or name *item* in the summary, if a line has sent one too often."""
        found = self._repetitions.take()
        wanted = self._repetitions_of(choice)
        if found and wanted.action == "fail":
            source = self._settings.source_of("repeated-queries")
            source = "the marker pgsandbox" if choice.repeated_queries is not None else source
            return found[0].as_error(item.nodeid, wanted.limit, source)
        self._summary.repeated.extend((each.in_short, each.count, item.nodeid) for each in found)
        return None

    def on_teardown(self, item: pytest.Item, choice: Choice) -> list[PgSandboxError]:
        """Return what must make *item* fail of what its fixtures' teardown did not commit either.

        An application may commit when its context ends, which a fixture holds open.
        """
        found = [each for each in self._found if not self._run.test.is_committed(each)]
        self._found = []
        if self._on_uncommitted(choice) == "fail":
            return [each.error for each in found]
        self._summary.uncommitted.extend(
            f"{item.nodeid} ({type(each.error).__name__} at {each.place})" for each in found[:1]
        )
        return []

    def looks_for_uncommitted(self, choice: Choice) -> bool:
        """Whether it matters what the application does not commit."""
        return self._on_uncommitted(choice) != "ignore"

    def _on_uncommitted(self, choice: Choice) -> str:
        return choice.uncommitted or self._settings.uncommitted

    def _repetitions_of(self, choice: Choice) -> Repetitions:
        """How often one line may send the same statement."""
        return choice.repeated_queries or self._settings.repeated_queries

    def remove(self) -> None:
        """Watch no more."""
        self._repetitions.remove()
