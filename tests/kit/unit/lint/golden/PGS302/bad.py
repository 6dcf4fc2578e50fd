import factory
from factory.alchemy import SQLAlchemyModelFactory

from myapp.models import User
from tests.database import SessionLocal


# --8<-- [start:bad]
class UserFactory(SQLAlchemyModelFactory):
    class Meta:
        model = User
        sqlalchemy_session = SessionLocal

    name = factory.Sequence(lambda n: f"user-{n}")
# --8<-- [end:bad]
