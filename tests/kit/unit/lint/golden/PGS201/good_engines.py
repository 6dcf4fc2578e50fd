import pytest
from sqlalchemy.orm import sessionmaker

from myapp import database, net


@pytest.fixture
def here(db_engine, monkeypatch):
    monkeypatch.setattr(database, "engine", db_engine)
    monkeypatch.setattr(database, "SessionLocal", sessionmaker(db_engine))
    monkeypatch.setattr(net, "engine", object())
    monkeypatch.setattr(database, "URL", "postgresql://elsewhere")
