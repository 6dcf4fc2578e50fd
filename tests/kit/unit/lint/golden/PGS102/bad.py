import os

import pytest
from sqlalchemy import create_engine


# --8<-- [start:bad]
@pytest.fixture
def engine():
    return create_engine(os.environ["DATABASE_URL"])
# --8<-- [end:bad]
