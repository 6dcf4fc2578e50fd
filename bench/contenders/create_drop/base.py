"""Factory Boy's own base, on the scoped session that the recipe joins to a transaction."""

from factory.alchemy import SQLAlchemyModelFactory
from sqlalchemy.orm import scoped_session, sessionmaker

SESSIONS = scoped_session(sessionmaker())


class BaseFactory(SQLAlchemyModelFactory):
    """What the recipes in use have: one session, stored on the class."""

    class Meta:
        """Write at once."""

        abstract = True
        sqlalchemy_session = SESSIONS
        sqlalchemy_session_persistence = "flush"
