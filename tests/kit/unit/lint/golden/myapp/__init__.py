"""The application whose sources the rules read."""

from typing import TYPE_CHECKING

from flask import Flask

from myapp.database import SessionLocal as Local
from myapp.extensions import db

if TYPE_CHECKING:
    from myapp.database import engine

make_session = Local


def create_app(**config):
    app = Flask(__name__)
    app.config.update(config)
    db.init_app(app)
    return app
