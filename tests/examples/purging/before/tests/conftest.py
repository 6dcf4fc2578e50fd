"""The fixture that empties a database before each test: whichever database that is."""

# --8<-- [start:purge]
import pytest
from shop.database import SessionLocal, engine
from shop.models import Base
from sqlalchemy import delete


@pytest.fixture(autouse=True)
def clean_database():
    """Start from empty tables."""
    Base.metadata.create_all(engine)
    with SessionLocal() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(delete(table))
        session.commit()


# --8<-- [end:purge]
