import pytest
from sqlalchemy.orm import Session


# --8<-- [start:bad]
@pytest.fixture
def session(engine):
    connection = engine.connect()
    transaction = connection.begin()
    yield Session(connection, join_transaction_mode="create_savepoint")
    transaction.rollback()
# --8<-- [end:bad]
