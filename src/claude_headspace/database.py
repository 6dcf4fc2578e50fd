"""The one ``db`` of the application, its migrations, and what every model starts from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from alembic.config import Config
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import DateTime, MetaData
from sqlalchemy.orm import DeclarativeBase, registry

from claude_headspace.config import CHECKOUT
from claude_headspace.logs import configure_logging

NAMING_CONVENTION = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}
"""Every constraint and index has a name that follows from what it is.

Without one PostgreSQL invents the name, and a migration can't drop what it can't name.
"""


class Base(DeclarativeBase):
    """Typed declarative base: a ``datetime`` is always a timestamp with time zone.

    The map of types is the registry's and not the class's: Flask-SQLAlchemy makes its own base as a
    copy of this one, and SQLAlchemy takes such a map only once.
    """

    registry = registry(
        metadata=MetaData(naming_convention=NAMING_CONVENTION),
        type_annotation_map={datetime: DateTime(timezone=True)},
    )


db = SQLAlchemy(model_class=Base)
"""Flask-SQLAlchemy's object: ``db.session`` in an application context, ``db.metadata`` anywhere."""

migrate = Migrate(db=db, directory=str(CHECKOUT / "migrations"))
"""Flask-Migrate's object, and with it the commands ``flask --app claude_headspace db ...``."""


def _with_its_log(config: Config) -> Config:
    """Let ``flask db`` say what it runs, as ``alembic`` does by its ini file."""
    configure_logging("INFO", "alembic")
    return config


migrate.configure(_with_its_log)


if TYPE_CHECKING:
    # ``db.Model`` is an attribute of an instance, which a type checker can't take as a base class.
    class Model(Base):
        """What every model inherits."""

        __abstract__ = True
else:
    Model = db.Model
