"""A factory for the one table."""

import factory
from depot.models import Parcel

from pgsandbox.factories import Factory


class ParcelFactory(Factory):
    """Something that is still here."""

    class Meta:
        model = Parcel

    code = factory.Sequence(lambda n: f"P{n}")
