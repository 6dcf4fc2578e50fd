import os

from sqlalchemy import create_engine

DATABASE_URL = os.environ.get("SHOP", "sqlite://")
engine = create_engine(os.getenv("SHOP", "sqlite:///shop.db"))


def test_settings(app):
    app.config.update(SQLALCHEMY_DATABASE_URI="sqlite://")
    app.config.from_mapping(SQLALCHEMY_DATABASE_URI="sqlite://")
    app.config.from_mapping({"SQLALCHEMY_DATABASE_URI": "sqlite://"})
    assert os.environ.get("DATABASE_URL", "sqlite://")
