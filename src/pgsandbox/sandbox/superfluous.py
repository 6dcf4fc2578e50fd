"""What a suite has of its own that makes or drops tables or databases, read off a refusal's stack.

A suite that did so before it met pgsandbox opens a connection for it, which is refused. What helps
then is the name of the fixture to delete, and not how a connection is redirected.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import CodeType
from typing import Any

from pgsandbox.errors import Fact
from pgsandbox.sandbox import call_sites

FACT = "to be deleted"
"""The name of the fact by which a refusal says that it is about one of these."""
_CALLS = frozenset(
    {"create_all", "drop_all", "create_database", "drop_database", "database_exists"}
)
_MIGRATES = frozenset({"upgrade", "downgrade"})
_MIGRATION_MODULES = frozenset({"flask_migrate", "command", "alembic"})
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


def facts(maker: str | None) -> list[Fact]:
    """Return what a refusal tells of *maker*."""
    return [Fact(FACT, maker)] if maker else []


def remedy(maker: str) -> str:
    """Return what to do about *maker*, which pgsandbox does already."""
    return (
        f"Delete {maker}: it makes or drops tables or databases for the tests. pgsandbox has made "
        "them before the first test, and drops them after the last. What asks for it can ask for "
        "db_session, or for pg.url where it wants a URL; rows that it adds for all tests can be "
        "added by the setting `seed`."
    )


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
