import factory

from myapp.models import User
from pgsandbox.factories import Factory


# --8<-- [start:good]
class UserFactory(Factory):
    class Meta:
        model = User

    name = factory.Sequence(lambda n: f"user-{n}")
# --8<-- [end:good]
