"""Home-made, as many are."""

import pytest
from shop.database import SessionLocal, engine
from shop.models import Base


@pytest.fixture(scope="session", autouse=True)
def tables():
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
