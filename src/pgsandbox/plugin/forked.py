"""A child that a test has forked, and that comes back into pytest: it ends there.

Otherwise it would report the test, run all that follow and take the run's databases down, beside
its parent. ``sys.exit`` comes back as any exception does, since pytest catches it.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Generator, Iterator

import pytest


class Forked:
    """Ends the children of a test's body as the exceptions that leave it say."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Let only that process return which has begun the test."""
        process = os.getpid()
        try:
            result = yield
        except BaseException as error:
            if os.getpid() != process:
                os._exit(_status(error))
            raise
        if os.getpid() != process:
            os._exit(0)
        return result


def _status(error: BaseException) -> int:
    """Return the status with which Python would end for *error*, and say what it would say.

    On its way out of the test, a child that exits leaves the ``with`` blocks of its parent. What
    fails there because a connection is the parent's takes nothing from the status.
    """
    error = next((each for each in _contexts(error) if isinstance(each, SystemExit)), error)
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        sys.stderr.write(f"{error.code}\n")
    else:
        traceback.print_exception(error)
    sys.stderr.flush()
    return 1


def _contexts(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__context__
