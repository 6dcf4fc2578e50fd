"""The one table."""

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What every table is declared on."""


class Parcel(Base):
    """Something to be delivered."""

    __tablename__ = "parcels"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    is_delivered: Mapped[bool] = mapped_column(default=False, server_default="false")
