"""Keeps what fixtures of wider scopes make for their scope, and starts each test from it.

pytest sets up a fixture of module scope in the middle of the first test that asks for it. Here its
rows go beneath that test, into a level of their own, which ends when pytest ends the fixture. The
levels are a stack. Where one has to go that others stand on, the fixtures of these are finished,
too, and pytest sets them up again for the next test that asks for them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pgsandbox import factories
from pgsandbox.errors import Fact, FixtureTooLate, PgSandboxError, chain_of
from pgsandbox.plugin.engines import ArrangingSession
from pgsandbox.sandbox.fixture_data import Level

if TYPE_CHECKING:
    from pgsandbox.plugin.active import ActivePlugin

_SCOPES = ("session", "package", "module", "class")
"""From the widest to the narrowest."""
_XUNIT = re.compile(r"_(?:xunit|unittest)_(\w+?)_fixture")


class Scopes:
    """Knows which fixture has made which level, and when the level ends."""

    def __init__(self, plugin: ActivePlugin) -> None:
        self._plugin = plugin
        self._test = plugin.run.test
        self._fixture_data = plugin.run.test.fixture_data
        self._of_test: list[tuple[Any, Any]] = []
        """Fixtures that end with the running test, since its database does."""
        self._errors: list[PgSandboxError] = []
        self.shared_session: ArrangingSession | None = None
        """The session that factories used in wider fixtures; it is the tests' own, then."""

    @property
    def _standing(self) -> list[Level]:
        return self._fixture_data.standing

    @property
    def counted(self) -> Mapping[Any, Any]:
        """Where the sequences of factories go on in each test."""
        return self._standing[-1].counted if self._standing else {}

    def take_errors(self) -> list[PgSandboxError]:
        """Return what made the running test fail when a wider fixture's teardown came first."""
        errors, self._errors = self._errors, []
        return errors

    # -- before and after a test --------------------------------------------------------------

    def finish_stale(self, item: pytest.Item, isolation: str) -> None:
        """Finish the fixtures whose rows *item* can't start from."""
        if not self._standing:
            return
        if self._fixture_data.are_lost:
            with contextlib.suppress(Exception):  # the rows that a teardown expects are gone
                self._finish_from(0)
            self._fixture_data.forget()
        elif isolation == "clone":
            self._finish_from(0)
        else:
            params = getattr(getattr(item, "callspec", None), "params", {})
            for place, level in enumerate(self._standing):
                if any(
                    name in params and not _is_equal(params[name], value)
                    for name, value in level.params.items()
                ):
                    self._finish_from(place)
                    return

    def finish_with_test(self) -> None:
        """Finish the wider fixtures whose rows are in the database of the test that is over."""
        __tracebackhide__ = True
        fixtures, self._of_test = self._of_test, []
        _finish(fixtures[::-1])
        if fixtures:
            self._drop_session()

    def _finish_from(self, place: int) -> None:
        _finish([each for level in self._standing[place:][::-1] for each in level.fixtures[:1]])

    # -- the set-up of a fixture --------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Generator[None, Any, Any]:
        """Keep what a fixture of a wider scope makes until that scope ends."""
        __tracebackhide__ = True
        if request.scope not in _SCOPES:
            return (yield)
        try:
            return (yield from self._set_up_wider(fixturedef, request))
        finally:
            self._test.threads.are_known()

    def _set_up_wider(self, fixturedef: Any, request: Any) -> Generator[None, Any, Any]:
        __tracebackhide__ = True
        item = self._plugin.item
        if item is None:
            return (yield)
        if self._test.is_in_clone:
            return (yield from self._set_up_in_clone(fixturedef, request, item))
        making = self._fixture_data.making
        if making is not None and self._fixture_data.has_begun:
            return (yield from self._set_up_within(making, fixturedef, request))
        return (yield from self._set_up(fixturedef, request, item))

    def _set_up(
        self, fixturedef: Any, request: Any, item: pytest.Item
    ) -> Generator[None, Any, Any]:
        __tracebackhide__ = True
        rank = _SCOPES.index(request.scope)
        refusal = self._finish_narrower(fixturedef, request, rank, item)
        params = _params(fixturedef, item)
        level = Level(_name(fixturedef, request), rank, params, [(fixturedef, request)], refusal)
        self._fixture_data.begin(level)
        fixturedef.addfinalizer(partial(self._ended, level, fixturedef))
        progress = factories.interrupt(f"{level.fixture} {request.param_index}", self.counted)
        factories.use_session_source(self._session)
        errors: list[PgSandboxError] = []
        try:
            result = yield
            errors = self._fixture_data.freeze(level)
            if errors:
                raise self._plugin.failure(errors[0])
        except BaseException as failed:
            if errors or _is_ours(failed):  # a test that asks for it in time gets a new one
                fixturedef.finish(request)
            for error in self._fixture_data.abandon(level):
                failed.add_note(f"{type(error).__name__}: {error}")
            self._drop_session()
            raise
        else:
            if level in self._standing:
                below = self._standing[-2].counted if len(self._standing) > 1 else {}
                level.counted = {**below, **factories.counted_so_far()}
                fixturedef.addfinalizer(partial(self._ending, level, fixturedef))
            return result
        finally:
            factories.go_on(progress, self.counted)
            if self._fixture_data.making is None:
                self._plugin.use_session_of(item)

    def _set_up_within(
        self, level: Level, fixturedef: Any, request: Any
    ) -> Generator[None, Any, Any]:
        """Keep it with the fixture that has called for it, and end it with that one."""
        __tracebackhide__ = True
        fixturedef.addfinalizer(partial(self._ended, level, fixturedef))
        result = yield
        level.fixtures.append((fixturedef, request))
        fixturedef.addfinalizer(partial(self._ending, level, fixturedef))
        return result

    def _set_up_in_clone(
        self, fixturedef: Any, request: Any, item: pytest.Item
    ) -> Generator[None, Any, Any]:
        """End it with the test, in whose database its rows are."""
        __tracebackhide__ = True
        before = self._sent_to_clones()
        factories.use_session_source(self._session)
        try:
            result = yield
            if self.shared_session is not None:
                # What is loaded stays so, as in the sandbox, where nothing is committed here.
                self.shared_session.expire_on_commit = False
                self.shared_session.commit()
                self.shared_session.expire_on_commit = True
            return result
        finally:
            self._plugin.use_session_of(item)
            if self._sent_to_clones() != before:
                self._of_test.append((fixturedef, request))

    def _sent_to_clones(self) -> int:
        clones = [each.clone for each in self._test.databases if each.clone is not None]
        return sum(clone.used for clone in clones)

    def _finish_narrower(
        self, fixturedef: Any, request: Any, rank: int, item: Any
    ) -> PgSandboxError | None:
        """Finish what is of narrower scopes; if *item* uses it already, return what to say."""
        narrower = [place for place, level in enumerate(self._standing) if level.rank > rank]
        if not narrower:
            return None
        in_use = list(getattr(item._request, "_fixture_defs", {}).values())
        for level in self._standing[narrower[0] :]:
            if any(each in in_use for each, _ in level.fixtures):
                return _too_late(_name(fixturedef, request), level.fixture, item.nodeid)
        self._finish_from(narrower[0])
        return None

    def _session(self) -> ArrangingSession:
        if self.shared_session is None:
            engine = self._plugin.engines.synchronous(is_arranging=True)
            self.shared_session = ArrangingSession(engine)
        return self.shared_session

    def _drop_session(self) -> None:
        standing = self._fixture_data.standing
        shared = standing[-1].snapshot.sessions if standing else ()
        if self.shared_session is not None and self.shared_session not in shared:
            self.shared_session.close()
            self.shared_session = None

    # -- its teardown -------------------------------------------------------------------------

    def _ending(self, level: Level, fixturedef: Any) -> None:
        """Before the teardown: finish the levels above, and bring the fixture's own rows back."""
        __tracebackhide__ = True
        if level.ending is not None or level not in self._standing:
            return
        level.ending = fixturedef
        try:
            self._finish_from(self._standing.index(level) + 1)
        finally:
            if any(database.has_transaction for database in self._test.databases):
                self._errors.extend(self._test.finish_early())
            self._fixture_data.resume(level)
        _finish([each for each in level.fixtures[::-1] if each[0] is not fixturedef])

    def _ended(self, level: Level, fixturedef: Any) -> None:
        """After the teardown: roll back its rows."""
        __tracebackhide__ = True
        if level.ending is not fixturedef:
            return
        errors = self._fixture_data.end(level)
        self._drop_session()
        if errors:
            raise self._plugin.failure(errors[0])


def _finish(fixtures: list[tuple[Any, Any]]) -> None:
    """Finish all of *fixtures*, as pytest does; raise the first error when that is done."""
    __tracebackhide__ = True
    failed = None
    for fixturedef, request in fixtures:
        try:
            fixturedef.finish(request)
        except BaseException as error:  # noqa: BLE001  # of a teardown; the others go on
            failed = failed or error
    if failed is not None:
        raise failed


def _params(fixturedef: Any, item: Any) -> Mapping[str, Any]:
    """Return the parameters on which the value of *fixturedef* depends in *item*."""
    params: Mapping[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    found, names = {}, [fixturedef.argname, *fixturedef.argnames]
    for name in names:
        if name in params:
            found[name] = params[name]
        for each in item._fixtureinfo.name2fixturedefs.get(name, ()):
            names.extend(other for other in each.argnames if other not in names)
    return found


def _is_equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001  # arrays, say, as pytest does
        return one is other


def _name(fixturedef: Any, request: Any) -> str:
    xunit = _XUNIT.match(fixturedef.argname)
    name = f"{xunit[1]}()" if xunit else f"the {request.scope}-scoped fixture {fixturedef.argname}"
    where = request.node.nodeid or fixturedef.baseid
    return f"{name} of {where}" if where and where != "." else name


def _is_ours(failed: BaseException) -> bool:
    return any(isinstance(each, PgSandboxError) for each in chain_of(failed))


def _too_late(fixture: str, narrower: str, test: str) -> FixtureTooLate:
    return FixtureTooLate(
        "A fixture of a wider scope opened the database after one of a narrower scope had, for the "
        "same test. What it makes is to stay when the other's ends, so it has to come first.",
        facts=[Fact("fixture", fixture), Fact("came first", narrower), Fact("test", test)],
        remedy=(
            "Name the fixture among the arguments of the test, or of the fixture that needs it, "
            "instead of calling request.getfixturevalue: pytest sets up wider scopes first."
        ),
    )
