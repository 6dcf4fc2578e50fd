"""Models that ask more of a generator than most."""

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    mapped_column,
    relationship,
)


class Base(DeclarativeBase):
    """What they have in common."""


class Tenant(Base):
    """Whose rows they are."""

    __tablename__ = "tenants"
    id: Mapped[int] = mapped_column(primary_key=True)


class Project(Base):
    """Something of a tenant."""

    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("tenant_id", "id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    tenant: Mapped[Tenant] = relationship()


class Author(Base):
    """Someone of a tenant."""

    __tablename__ = "authors"
    __table_args__ = (UniqueConstraint("tenant_id", "id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    tenant: Mapped[Tenant] = relationship()


class Page(Base):
    """A page of a project, by an author of the same tenant."""

    __tablename__ = "pages"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "author_id"], ["authors.tenant_id", "authors.id"]),
        ForeignKeyConstraint(["tenant_id", "project_id"], ["projects.tenant_id", "projects.id"]),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    author_id: Mapped[int]
    project_id: Mapped[int]
    tenant: Mapped[Tenant] = relationship(overlaps="author,project")
    author: Mapped[Author] = relationship(overlaps="tenant,project")
    project: Mapped[Project] = relationship(overlaps="tenant,author")


class Egg(Base):
    """What a hen is from."""

    __tablename__ = "eggs"
    id: Mapped[int] = mapped_column(primary_key=True)
    hen_id: Mapped[int] = mapped_column(ForeignKey("hens.id"))
    hen: Mapped["Hen"] = relationship(foreign_keys=[hen_id])


class Hen(Base):
    """What an egg is from."""

    __tablename__ = "hens"
    id: Mapped[int] = mapped_column(primary_key=True)
    egg_id: Mapped[int] = mapped_column(ForeignKey("eggs.id", use_alter=True))
    egg: Mapped[Egg] = relationship(foreign_keys=[egg_id])


class Letter(Base):
    """Something whose constructor asks for more than columns."""

    __tablename__ = "letters"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]

    def __init__(self, *, signer: str, **given: str) -> None:
        super().__init__(**given)


class Switch(Base):
    """A table of one row."""

    __tablename__ = "switches"
    __table_args__ = (Index("one_switch", text("(true)"), unique=True),)
    name: Mapped[str] = mapped_column(primary_key=True)


class Records(MappedAsDataclass, DeclarativeBase):
    """Dataclasses."""


class Record(Records):
    """A dataclass, whose constructor asks for what may be NULL, too."""

    __tablename__ = "records"
    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    title: Mapped[str]
    remark: Mapped[str | None]
