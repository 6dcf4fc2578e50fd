import os

import pytest
import sqlalchemy as sa
import sqlmodel
from sqlalchemy.ext.asyncio import create_async_engine as make
from testcontainers.postgres import PostgresContainer

from myapp.settings import settings

URL = "postgresql+psycopg2://app@localhost/shop"
engine = sa.create_engine(URL)


@pytest.fixture
def url():
    return os.getenv("DATABASE_URL")


@pytest.fixture
def from_a_fixture(url):
    return sa.create_engine(url)


def test_others():
    with PostgresContainer() as postgres:
        assert sa.create_engine(postgres.get_connection_url())
    assert make(settings.DATABASE_URL)
    assert sqlmodel.create_engine(f"postgresql://{settings.host}/shop")
