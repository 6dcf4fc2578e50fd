import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session


@pytest.fixture
def session(engine):
    with engine.connect() as connection:
        outer = connection.begin()
        session = Session(bind=connection)
        session.begin_nested()

        @event.listens_for(session, "after_transaction_end")
        def restart(session, transaction):
            session.begin_nested()

        yield session
        session.close()
        outer.rollback()


@pytest.fixture
async def async_session(async_engine):
    connection = await async_engine.connect()
    outer = await connection.begin()
    yield connection
    await outer.rollback()
