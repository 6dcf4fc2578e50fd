"""The shop as a Flask application with two binds."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine
from sqlalchemy.orm import Mapped, Session, mapped_column, scoped_session

from shop import settings
from shop.models import Item

db = SQLAlchemy()


class Report(db.Model):
    """A report, in a database of its own."""

    __bind_key__ = "reports"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


class Entry(db.Model):
    """An entry of the audit trail, in a third database."""

    __bind_key__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


def create_app() -> Flask:
    """The application, with the production settings."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.main_url()
    app.config["SQLALCHEMY_BINDS"] = {
        "reports": settings.reports_url(),
        "audit": settings.audit_url(),
    }
    db.init_app(app)

    @app.post("/items/<name>")
    def add_item(name: str) -> str:
        db.session.add_all([Item(name=name), Report(title=name), Entry(text=f"added {name}")])
        db.session.commit()
        return name

    return app


_app = create_app()


def engine() -> Engine:
    """The shop's engine."""
    with _app.app_context():
        return db.engine


@contextmanager
def open_session() -> Iterator[scoped_session[Session]]:
    """The session of an application context."""
    with _app.app_context():
        yield db.session
