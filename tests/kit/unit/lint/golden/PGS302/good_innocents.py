import factory

import pgsandbox.factories as kit
from myapp.models import User


class UserFactory(kit.Factory):
    class Meta:
        model = User


class PayloadFactory(factory.DictFactory):
    name = "Ada"


class SettingsFactory(factory.Factory):
    class Meta:
        model = dict


class SQLAlchemyModelFactory:
    pass


class Own(SQLAlchemyModelFactory):
    pass
