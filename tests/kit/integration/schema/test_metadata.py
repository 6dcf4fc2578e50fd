"""A schema that is built from the models."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing

import pytest

from pgsandbox.servers import Server
from tests.kit.external import free_port
from tests.kit.integration.plugin.conftest import MakeProject

_MODELS = """
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


class Order(Base):
    __tablename__ = "orders"
    __table_args__ = {"schema": "Back Office"}
    id: Mapped[int] = mapped_column(primary_key=True)


class Archive(DeclarativeBase):
    metadata = MetaData(schema="archive")


class Entry(Archive):
    __tablename__ = "entries"
    id: Mapped[int] = mapped_column(primary_key=True)


def seed(session):
    session.add(Item(name="tea"))
"""

_TESTS = """
import pytest
from models import Entry, Item, Order
from sqlalchemy import delete, func, select, text


def test_tables_of_every_metadata_in_their_schemas(db_session):
    for model in (Entry, Order):
        assert db_session.scalar(select(func.count(model.id))) == 0


def test_extensions(db_session):
    assert "<extension>" in db_session.scalars(text("select extname from pg_extension")).all()


@pytest.mark.parametrize("time", range(3))
def test_seed_rows_are_there_every_time(db_session, pg, time):
    assert db_session.scalars(select(Item.name)).all() == ["tea"]
    db_session.execute(delete(Item))
    db_session.commit()
    assert db_session.scalars(select(Item.name)).all() == []
    assert pg.outside("select name from items") == "tea"


def test_a_seed_row_is_a_row(db_session):
    db_session.add(Item(name="tea"))
    with pytest.raises(Exception, match="items_name_key"):
        db_session.commit()
"""

_BUILDS = """
import sys
from sqlalchemy import MetaData, make_url
from pgsandbox.schema import MetadataBuilder

MetadataBuilder([MetaData()]).build(make_url(sys.argv[1]))
"""


@pytest.fixture
def extension(server: Server) -> str:
    """An extension that the server has and a database of it has not."""
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select name from pg_available_extensions where installed_version is null order by 1"
        )
        return cursor.fetchone()[0]


def test_everything_that_the_settings_name(make_project: MakeProject, extension: str) -> None:
    """Extensions, schemas, the tables of several metadata, and rows to start from."""
    project = make_project(
        {
            "models.py": _MODELS,
            "tests/integration/test_schema.py": _TESTS.replace("<extension>", extension),
        }
    )
    project.configure(
        f'[tool.pgsandbox]\nmetadata = ["models:Base", "models:Archive.metadata"]\n'
        f'extensions = ["{extension}"]\nseed = "models:seed"'
    )
    outcome = project.run()

    assert (outcome.code, outcome.counts) == (0, {"passed": 6})


_PROBLEMS = """
from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import UserDefinedType


class Geometry(UserDefinedType):
    cache_ok = True

    def get_col_spec(self):
        return "geometry"


class Citext(Geometry):
    def get_col_spec(self):
        return "citext"


class Base(DeclarativeBase):
    pass


class Place(Base):
    __tablename__ = "a_places"
    id: Mapped[int] = mapped_column(primary_key=True)
    where = mapped_column(Geometry)


class Visit(Base):
    __tablename__ = "b_visits"
    id: Mapped[int] = mapped_column(primary_key=True)
    place_id: Mapped[int] = mapped_column(ForeignKey("a_places.id"))


class Guest(Base):
    __tablename__ = "c_guests"
    id: Mapped[int] = mapped_column(primary_key=True)
    email = mapped_column(Citext)


class Bill(Base):
    __tablename__ = "d_bills"
    __table_args__ = (CheckConstraint("is_even(id)"),)
    id: Mapped[int] = mapped_column(primary_key=True)
"""


def test_all_that_stands_in_the_way_is_told_at_once(make_project: MakeProject) -> None:
    """Each problem stands there once, and none that only follows from another."""
    test = {"tests/integration/test_it.py": "def test_it(db_session): pass\n"}
    run = make_project({"models.py": _PROBLEMS, **test}).run()

    assert run.code == 4
    assert run.text.count('type "geometry" does not exist') == 1
    assert run.text.count('type "citext" does not exist') == 1
    assert run.text.count("function is_even(integer) does not exist") == 1
    assert 'relation "a_places" does not exist' not in run.text


def test_a_server_that_has_gone_meanwhile_is_named() -> None:
    """It was there when the database was made; what the driver says of it now is among the facts.

    A process of its own connects, since this one is refused every engine.
    """
    url = f"postgresql+psycopg2://postgres@127.0.0.1:{free_port()}/shop_test"
    command = [sys.executable, "-c", _BUILDS, url]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr

    assert "SchemaNotBuilt: The schema could not be built, since the server did not let" in said
    assert "Connection refused" in said
    assert "Look at its log" in said
