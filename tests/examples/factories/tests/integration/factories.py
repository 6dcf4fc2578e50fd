"""A factory for each mapped class; what a test does not care about has a sensible value.

`pgsandbox factories generate` wrote this module, and it is yours now. `pgsandbox factories check`
compares it with the models.
"""

import datetime as dt
from decimal import Decimal
from uuid import UUID

import factory
from pgsandbox.factories import Factory
from sqlalchemy.dialects.postgresql import Range

from shop.models import (
    Booking,
    Customer,
    Download,
    Line,
    Order,
    Payment,
    Product,
    Region,
    Service,
    State,
    Tag,
    Thing,
    Warehouse,
    Worker,
)


class BookingFactory(Factory):
    class Meta:
        model = Booking

    days = factory.Sequence(
        lambda n: Range(
            dt.date(2026, 1, 1) + dt.timedelta(days=n),
            dt.date(2026, 1, 2) + dt.timedelta(days=n),
        )
    )
    docks = Range(1, 10)
    dock = factory.Sequence(lambda n: n + 1)
    state = "asked"
    is_default = False
    code = factory.Sequence(lambda n: f"{n:05}")


class CustomerFactory(Factory):
    class Meta:
        model = Customer

    email = factory.Sequence(lambda n: f"user-{n}@example.com")
    name = factory.Sequence(lambda n: f"name-{n}")
    country = factory.Sequence(lambda n: f"{n:02}")
    joined_at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class ProductFactory(Factory):
    class Meta:
        model = Product
        abstract = True

    sku = factory.Sequence(lambda n: f"NAME_{n}")
    price = 1.0
    details = factory.LazyFunction(dict)
    sizes = factory.LazyFunction(list)


class DownloadFactory(ProductFactory):
    class Meta:
        model = Download

    url = factory.Sequence(lambda n: f"https://example.com/{n}")
    digest = factory.Sequence(lambda n: f"digest-{n}".encode())


class OrderFactory(Factory):
    class Meta:
        model = Order

    class Params:
        is_sent = factory.Trait(state=State.SENT, sent_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))

    customer = factory.SubFactory(CustomerFactory)
    number = factory.Sequence(lambda n: f"n-{n}")
    state = State.OPEN
    total = Decimal(1)
    discount = 5


class LineFactory(Factory):
    class Meta:
        model = Line

    order = factory.SubFactory(OrderFactory)
    product = factory.SubFactory(DownloadFactory)
    quantity = 1


class PaymentFactory(Factory):
    class Meta:
        model = Payment

    order = factory.SubFactory(OrderFactory)


class RegionFactory(Factory):
    class Meta:
        model = Region

    country = factory.Sequence(str)
    code = factory.Sequence(str)


class ServiceFactory(ProductFactory):
    class Meta:
        model = Service

    hourly_rate = Decimal(1)


class TagFactory(Factory):
    class Meta:
        model = Tag
        rename = {"create_": "create", "slug": "_slug"}

    id = factory.Sequence(lambda n: UUID(int=n + 1))
    create_ = factory.Sequence(lambda n: f"create-{n}")
    slug = factory.Sequence(lambda n: f"s-{n}")


class ThingFactory(ProductFactory):
    class Meta:
        model = Thing

    grams = 11


class WarehouseFactory(Factory):
    class Meta:
        model = Warehouse

    class Params:
        region_made = factory.SubFactory(RegionFactory)

    country = factory.SelfAttribute("region_made.country")
    region = factory.SelfAttribute("region_made.code")
    address = factory.Sequence(lambda n: f"10.0.{n // 256 % 256}.{n % 256}")
    network = factory.Sequence(lambda n: f"10.{n // 256 % 256}.{n % 256}.0/24")
    gate = factory.Sequence(lambda n: f"00:00:5e:00:{n // 256 % 256:02x}:{n % 256:02x}")
    opens = dt.time(9, tzinfo=dt.UTC)


class WorkerFactory(Factory):
    class Meta:
        model = Worker

    class Params:
        warehouse = factory.SubFactory(WarehouseFactory)

    warehouse_id = factory.SelfAttribute("warehouse.id")
    login = factory.Sequence(lambda n: f"name_{n}")
    shift = dt.timedelta(hours=1)
