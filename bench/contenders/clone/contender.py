"""Every test gets a database of its own, cloned by the kit."""

import pytest


def pytest_collection_modifyitems(items):
    """Mark each test as a reader of the guide would."""
    for item in items:
        item.add_marker(pytest.mark.pgsandbox(isolation="clone"))
