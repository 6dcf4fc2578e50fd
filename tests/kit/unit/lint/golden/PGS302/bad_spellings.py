import factory
from factory import alchemy as fa

from myapp.models import User


class Base(factory.alchemy.SQLAlchemyModelFactory):
    class Meta:
        abstract = True


class Other(fa.SQLAlchemyModelFactory):
    pass


class UserFactory(Base):
    class Meta:
        model = User
