"""Home-made, as many are."""

import pytest
from shop.database import SessionLocal, engine
from shop.models import Base
from sqlalchemy import text


@pytest.fixture(scope="session")
def database():
    """A database of the run's own, under a name that any other run has, too."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE shop_test"))
        yield
        connection.execute(text("DROP DATABASE shop_test"))


@pytest.fixture(scope="session", autouse=True)
def tables(database):
    """All tables, made for the run and dropped after it."""
    Base.metadata.create_all(engine)
    yield
    Base.metadata.drop_all(engine)


@pytest.fixture(autouse=True)
def clean():
    """Every test begins with empty tables."""
    yield
    with SessionLocal() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())
        session.commit()


@pytest.fixture
def session():
    """A session whose commits are undone, or so it says."""
    connection = engine.connect()
    transaction = connection.begin()
    yield SessionLocal(bind=connection, join_transaction_mode="create_savepoint")
    transaction.rollback()
