"""A ready-made test of a project's factories.

One line in a file of tests switches it on::

    from pgsandbox.plugin.factory_tests import *

It writes objects into the test database, in its own sandbox, and compares the factories with the
models: what ``pgsandbox factories check`` does from the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pgsandbox.factory_checks import FactoryChecks

__all__ = ["test_factories_make_what_the_models_say"]


def test_factories_make_what_the_models_say(pgsandbox_factories: FactoryChecks) -> None:
    """Every mapped class has a factory, and each factory's objects can be written."""
    __tracebackhide__ = True
    report = pgsandbox_factories.all()
    if report.findings:
        pytest.fail(report.text(), pytrace=False)
