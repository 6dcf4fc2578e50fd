import pytest
from sqlmodel import SQLModel

from myapp import db
from myapp.models import Base

metadata = Base.metadata


@pytest.fixture
async def tables(async_db_engine):
    async with async_db_engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        yield
        await connection.run_sync(SQLModel.metadata.drop_all)


@pytest.fixture
def app(app, db_engine):
    with app.app_context():
        db.create_all()
        yield app
        db.drop_all()
    metadata.drop_all(bind=db_engine)
