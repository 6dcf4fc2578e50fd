import os

from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from myapp import create_app

URL = "sqlite+aiosqlite:///test.db"
SQLALCHEMY_DATABASE_URL: str = "sqlite://"
engine = create_async_engine(URL)
other = create_engine(url="sqlite:///" + os.getcwd())


def test_settings(monkeypatch, tmp_path, app):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/test.db")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///:memory:"
    os.environ["DB_URL"] = "sqlite://"

    assert create_app({"SQLALCHEMY_DATABASE_URI": "sqlite://"})
    assert create_app("sqlite://")
