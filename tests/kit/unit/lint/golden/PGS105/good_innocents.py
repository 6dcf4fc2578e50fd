import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session


@pytest.fixture
def fresh_session(db_engine):
    with Session(db_engine) as session:
        yield session
        session.rollback()


@pytest.fixture
def held(db_connection):
    transaction = db_connection.begin()
    yield transaction
    transaction.rollback()


def test_a_rollback(db_engine, db_session):
    connection = db_engine.connect()
    transaction = connection.begin()
    seen = []
    event.listen(db_session, "after_commit", seen.append)
    transaction.rollback()

    assert seen == []
    assert Session(db_engine, join_transaction_mode="rollback_only")
