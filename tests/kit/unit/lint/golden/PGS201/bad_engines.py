import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

import myapp.database
from myapp import database


@pytest.fixture(scope="session", autouse=True)
def elsewhere(url):
    engine = create_engine(url)
    session_mpatch = pytest.MonkeyPatch()
    session_mpatch.setattr(database, "engine", engine)
    session_mpatch.setattr(database, "SessionLocal", sessionmaker(engine))
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(myapp.database, "async_engine", engine)
    yield
    session_mpatch.undo()
