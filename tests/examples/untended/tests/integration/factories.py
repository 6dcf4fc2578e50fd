"""Factories with one fault each."""

import datetime as dt

import factory
from factory.alchemy import SQLAlchemyModelFactory
from pgsandbox.factories import Factory

from shop.models import Customer, Note, Order, Parcel, Product, State, Voucher


class CustomerFactory(Factory):
    class Meta:
        model = Customer

    name = factory.Sequence(lambda n: f"customer-{n}")
    nickname = "Bo"
    joined_at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class RegularFactory(Factory):
    class Meta:
        model = Customer

    name = "Bo"
    joined_at = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - the fault


class OrderFactory(Factory):
    class Meta:
        model = Order


class ProductFactory(Factory):
    class Meta:
        model = Product

    sku = "A-1"
    price = 100


class FreeProductFactory(Factory):
    class Meta:
        model = Product

    sku = factory.Sequence(lambda n: f"F-{n}")
    price = 0


class VoucherFactory(Factory):
    class Meta:
        model = Voucher

    code = factory.Sequence(lambda n: f"code-{n}")


class GiftFactory(Factory):
    class Meta:
        model = Voucher

    code = factory.Sequence(lambda n: f"code-{n}")


class ParcelFactory(Factory):
    class Meta:
        model = Parcel

    class Params:
        is_lost = factory.Trait(state=State.LOST)

    address = factory.Iterator(["Main Street 1", None])
    state = State.PACKED


class NoteFactory(SQLAlchemyModelFactory):
    class Meta:
        model = Note

    text = "Call back"
