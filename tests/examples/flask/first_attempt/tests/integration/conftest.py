# ruff: noqa: D100, D103  # the tutorial explains what it shows
# --8<-- [start:whole]
import pytest
from myapp import create_app


@pytest.fixture
def client():
    return create_app().test_client()


# --8<-- [end:whole]
