"""What a suite has of its own that makes or drops tables or databases, read off a refusal's stack.

A suite that did so before it met pgsandbox opens a connection for it, which is refused, or sends
its statement to the sandbox, which can't take it. What helps then is the name of the fixture to
delete, and not how a connection is redirected, nor a clone.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

from pgsandbox.errors import Fact, PgSandboxError, chain_of
from pgsandbox.sandbox import call_sites
from pgsandbox.sandbox.statement_places import StatementPlaces

FACT = "to be deleted"
"""The name of the fact by which a refusal says that it is about one of these."""
_CALLS = frozenset(
    {"create_all", "drop_all", "create_database", "drop_database", "database_exists"}
)
_MIGRATES = frozenset({"upgrade", "downgrade"})
_MIGRATION_MODULES = frozenset({"flask_migrate", "command", "alembic"})
_OF_DATABASES = re.compile(r"\s*(?:create|drop)\s+database\b", re.IGNORECASE)
_STATEMENT = re.compile(r"\b(?:create|drop)\s+(?:database|schema|table)\b", re.IGNORECASE)


def maker() -> str | None:
    """Return the fixture or hook on the way here that makes or drops tables or databases.

    It is the outermost function of the tests' own files, with its file and line; None where no
    function of theirs names such a call or statement. An application that makes its tables when it
    starts is none, nor is a test: nobody can delete those.
    """
    found, makes = None, False
    for frame in call_sites.frames():
        if call_sites.is_of_a_runner(frame):
            break
        if _is_of_tests(frame.f_code.co_filename):
            makes = makes or _makes(frame.f_code)
            found = frame
    is_test = found is not None and found.f_code.co_name.startswith("test")
    return _shown(found) if makes and not is_test else None


def about_its_statement(
    refusal: PgSandboxError, failure: BaseException, places: StatementPlaces
) -> PgSandboxError | None:
    """Return *refusal*, of a CREATE or DROP DATABASE, as it is said to the tests that sent it.

    None where it is about something else, where the application sent it, or where a test did: what
    they need is a clone. *failure* is what came out of the fixture or the hook.
    """
    statements = [each.value for each in refusal.facts if each.name == "statement"]
    if not any(_OF_DATABASES.match(each) for each in statements):
        return None
    maker = _sender(failure, places)
    if maker is None:
        return None
    return type(refusal)(
        "The tests make or drop a database by themselves, in a sandbox that is one transaction of "
        "the database that pgsandbox has made for them.",
        facts=[*refusal.facts, *facts(maker)],
        remedy=remedy(maker),
    )


def _sender(failure: BaseException, places: StatementPlaces) -> str | None:
    """Return the outermost function of the tests' own from which the statement was sent."""
    found = None
    for frame in _frames_outward(failure):
        if found is None and places.is_of_application(frame):
            return None
        if call_sites.is_of_a_runner(frame):
            if found is not None:
                break
        elif places.is_of_tests(frame):
            found = frame
    is_test = found is None or found.f_code.co_name.startswith("test")
    return None if is_test else _shown(found)


def _frames_outward(failure: BaseException) -> Iterator[Any]:
    """Yield the frames through which *failure* came, from where its first cause was raised."""
    for each in reversed([*chain_of(failure)]):
        yield from [frame for frame, _ in traceback.walk_tb(each.__traceback__)][::-1]


def facts(maker: str | None) -> list[Fact]:
    """Return what a refusal tells of *maker*."""
    return [Fact(FACT, maker)] if maker else []


def maker_of(refusal: PgSandboxError) -> str | None:
    """Return whom *refusal* says to be deleted."""
    return next((each.value for each in refusal.facts if each.name == FACT), None)


def remedy(maker: str) -> str:
    """Return what to do about *maker*, which pgsandbox does already."""
    told = (
        f"Delete {maker}: it makes or drops tables or databases for the tests. pgsandbox has made "
        "them before the first test, and drops them after the last."
    )
    if not maker.startswith("`pytest_"):  # nobody asks for a hook
        told += " What asks for it can ask for db_session, or for pg.url where it wants a URL;"
        return f"{told} rows that it adds for all tests can be added by the setting `seed`."
    return f"{told} Rows that it adds for all tests can be added by the setting `seed`."


def _is_of_tests(filename: str) -> bool:
    is_of_tests = call_sites.is_named_as_test(filename) or "tests" in Path(filename).parts[-4:-1]
    return call_sites.is_own(filename) and is_of_tests


def _makes(code: CodeType) -> bool:
    names = frozenset(code.co_names)
    if names & _CALLS or (names & _MIGRATES and names & _MIGRATION_MODULES):
        return True
    texts = (each for each in code.co_consts if isinstance(each, str))
    return any(_STATEMENT.search(each) for each in texts)


def _shown(frame: Any) -> str:
    code = frame.f_code
    return f"`{code.co_name}` at {call_sites.relative(code.co_filename)}:{code.co_firstlineno}"
