"""The proof that nothing of a test is committed."""

import pytest


@pytest.fixture(autouse=True)
def nothing_is_committed(look_from_outside):
    """At the end of a test, while its rows are still there, nobody outside has seen one."""
    yield

    look_from_outside()
