"""Models of every kind that a factory has to know."""

import datetime as dt
import enum
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CHAR,
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Interval,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Table,
    Time,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import (
    ARRAY,
    CIDR,
    DATERANGE,
    DOMAIN,
    INET,
    INT4RANGE,
    JSONB,
    MACADDR,
    ExcludeConstraint,
    Range,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, validates


class Base(DeclarativeBase):
    """What the models have in common."""


class State(enum.Enum):
    """How far an order is."""

    OPEN = "open"
    PAID = "paid"
    SENT = "sent"


# --8<-- [start:customer]
class Customer(Base):
    """Someone who buys."""

    __tablename__ = "customers"
    __table_args__ = (Index("one_email", func.lower(text("email")), unique=True),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    email: Mapped[str] = mapped_column(String(80))
    name: Mapped[str]
    country: Mapped[str] = mapped_column(CHAR(2))
    joined_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))
    seen_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    birthday: Mapped[dt.date | None]


class Order(Base):
    """What someone buys."""

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("total >= 0 AND discount BETWEEN 5 AND 50", name="amounts"),
        CheckConstraint("(state = 'SENT') = (sent_at IS NOT NULL)", name="sent_orders_have_a_time"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    number: Mapped[str] = mapped_column(String(12), unique=True)
    state: Mapped[State]
    total: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    discount: Mapped[int] = mapped_column(SmallInteger)
    gross: Mapped[Decimal] = mapped_column(Numeric, Computed("total * 1.2"))
    sent_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    customer: Mapped[Customer] = relationship()


# --8<-- [end:customer]


tagged = Table(
    "tagged",
    Base.metadata,
    Column("product_id", ForeignKey("products.id"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id"), primary_key=True),
)


class Tag(Base):
    """A word about products."""

    __tablename__ = "tags"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    create: Mapped[str] = mapped_column(unique=True)
    _slug: Mapped[str] = mapped_column("slug", String(8))


class Product(Base):
    """What is sold: things and downloads in tables of their own, services in this one."""

    __tablename__ = "products"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_abstract": True}
    __table_args__ = (
        CheckConstraint("kind <> 'service' OR hourly_rate IS NOT NULL", name="services_have_rates"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    sku: Mapped[str] = mapped_column(CheckConstraint("sku ~ '^[A-Z]+_[0-9]+$'"), unique=True)
    price: Mapped[float]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
    sizes: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    tags: Mapped[list[Tag]] = relationship(secondary=tagged)


class Thing(Product):
    """A product that is sent."""

    __tablename__ = "things"
    __mapper_args__ = {"polymorphic_identity": "thing"}

    id: Mapped[int] = mapped_column(ForeignKey("products.id"), primary_key=True)
    grams: Mapped[int] = mapped_column(CheckConstraint("grams > 10"))


class Download(Product):
    """A product that is fetched."""

    __tablename__ = "downloads"
    __mapper_args__ = {"polymorphic_identity": "download"}

    id: Mapped[int] = mapped_column(ForeignKey("products.id"), primary_key=True)
    url: Mapped[str]
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)


class Service(Product):
    """A product that is done."""

    __mapper_args__ = {"polymorphic_identity": "service"}

    hourly_rate: Mapped[Decimal | None]


class Line(Base):
    """An association object: so many of a product in an order."""

    __tablename__ = "lines"
    __table_args__ = (CheckConstraint("quantity > 0"),)

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), primary_key=True)
    quantity: Mapped[int]
    order: Mapped[Order] = relationship()
    product: Mapped[Product] = relationship()


class Region(Base):
    """Part of a country, by two words."""

    __tablename__ = "regions"

    country: Mapped[str] = mapped_column(String(2), primary_key=True)
    code: Mapped[str] = mapped_column(String(3), primary_key=True)


class Warehouse(Base):
    """A place in a region, with a manager, who works in a warehouse."""

    __tablename__ = "warehouses"
    __table_args__ = (
        ForeignKeyConstraint(["country", "region"], ["regions.country", "regions.code"]),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    country: Mapped[str] = mapped_column(String(2))
    region: Mapped[str] = mapped_column(String(3))
    manager_id: Mapped[int | None] = mapped_column(ForeignKey("workers.id", use_alter=True))
    address: Mapped[str] = mapped_column(INET)
    network: Mapped[str] = mapped_column(CIDR)
    gate: Mapped[str] = mapped_column(MACADDR, unique=True)
    opens: Mapped[dt.time] = mapped_column(Time(timezone=True))


class Worker(Base):
    """Someone who works in a warehouse; the warehouse comes without a relationship."""

    __tablename__ = "workers"

    id: Mapped[int] = mapped_column(primary_key=True)
    warehouse_id: Mapped[int] = mapped_column(ForeignKey("warehouses.id"))
    login: Mapped[str]
    shift: Mapped[dt.timedelta] = mapped_column(Interval)

    @validates("login")
    def _without_blanks(self, key: str, value: str) -> str:
        if not value.isidentifier():
            raise ValueError(f"{key} is no name")
        return value


class Booking(Base):
    """A dock of a warehouse for some days, which nobody else has."""

    __tablename__ = "bookings"
    __table_args__ = (
        ExcludeConstraint(("days", "&&"), name="no_two_at_once"),
        UniqueConstraint("dock", "state"),
        Index("one_default", "is_default", unique=True, postgresql_where=text("is_default")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    days: Mapped[Range[dt.date]] = mapped_column(DATERANGE)
    docks: Mapped[Range[int]] = mapped_column(INT4RANGE)
    dock: Mapped[int]
    state: Mapped[str] = mapped_column(Enum("asked", "given", name="booking_state"))
    is_default: Mapped[bool]
    code: Mapped[str] = mapped_column(DOMAIN("code", String(5), check=text("length(VALUE) = 5")))


class Payment(Base):
    """Money for an order, or for a booking."""

    __tablename__ = "payments"
    __table_args__ = (CheckConstraint("num_nonnulls(order_id, booking_id) = 1", name="one_reason"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"))
    booking_id: Mapped[int | None] = mapped_column(ForeignKey("bookings.id"))
    order: Mapped[Order | None] = relationship()
    booking: Mapped[Booking | None] = relationship()
