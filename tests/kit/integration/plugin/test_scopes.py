"""What a fixture of a wider scope makes stands for its scope, and each test starts from it."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import SECRET, Project

_SETTINGS = """
url = "application:URL"
redirect = true

[tool.pgsandbox.binds.archive]
url = "application:ARCHIVE"
metadata = "application:db"
"""

_APPLICATION = f"""
import os
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import JSON, ForeignKey, create_engine
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import Mapped, mapped_column, relationship, scoped_session, sessionmaker
from sqlalchemy.orm.collections import attribute_keyed_dict

DRIVER = os.environ.get("SHOP_DRIVER", "psycopg2")
URL = f"postgresql+{{DRIVER}}://dev:{SECRET}@127.0.0.1:1/<name>"
ARCHIVE = f"postgresql+{{DRIVER}}://@localhost:1/<name>_archive"

db = SQLAlchemy()


class Item(db.Model):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    data: Mapped[dict | None] = mapped_column(JSON)
    tags: Mapped[dict | None] = mapped_column(MutableDict.as_mutable(JSON))
    parts: Mapped[list["Part"]] = relationship(back_populates="item")
    by_code: Mapped[dict[str, "Code"]] = relationship(
        collection_class=attribute_keyed_dict("code"), cascade="all, delete-orphan"
    )


class Code(db.Model):
    __tablename__ = "codes"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))


class Part(db.Model):
    __tablename__ = "parts"
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int | None] = mapped_column(
        ForeignKey("items.id", deferrable=True, initially="DEFERRED")
    )
    item: Mapped[Item | None] = relationship(back_populates="parts")


class Entry(db.Model):
    __bind_key__ = "archive"
    __tablename__ = "entries"
    id: Mapped[int] = mapped_column(primary_key=True)


engine = create_engine(URL)
Scoped = scoped_session(sessionmaker(engine))


def create_app():
    app = Flask(__name__)
    app.config.update(
        SQLALCHEMY_DATABASE_URI=URL, SQLALCHEMY_BINDS={{"archive": ARCHIVE}}
    )
    db.init_app(app)
    return app
"""

_MODELS = """
from application import db

Base = db.Model
"""

_SAME_START = """
    import os
    import unittest

    import factory
    import pytest
    from application import Code, Entry, Item, Part, Scoped, create_app, db, engine
    from pgsandbox.factories import Factory
    from sqlalchemy import func, inspect, select, text
    from sqlalchemy.orm import Session, object_session

    thrice = pytest.mark.parametrize("time", range(3))


    def named(name):
        with engine.connect() as connection:
            return connection.scalar(
                text("select count(*) from items where name = :name"), {"name": name}
            )


    def insert(connection, name):
        connection.execute(text("insert into items (name) values (:name)"), {"name": name})


    def delete(name):
        with engine.begin() as connection:
            query = text("delete from items where name = :name")
            assert connection.execute(query, {"name": name}).rowcount == 1


    class ItemFactory(Factory):
        class Meta:
            model = Item

        name = factory.Sequence(lambda n: f"item-{n}")


    class PartFactory(Factory):
        class Meta:
            model = Part

        item = factory.SubFactory(ItemFactory)


    @pytest.fixture(scope="module")
    def core():
        with engine.begin() as connection:
            insert(connection, "core")
        yield
        delete("core")


    @thrice
    def test_core(core, pg, time):
        assert pg.statements == []
        delete("core")
        assert pg.outside("select count(*) from items") == 0


    @pytest.fixture(scope="module")
    def raw():
        connection = engine.raw_connection()
        connection.cursor().execute("insert into items (name) values ('raw')")
        connection.commit()
        connection.close()
        yield
        assert named("raw") == 1


    @thrice
    def test_raw(raw, time):
        delete("raw")


    @pytest.fixture(scope="module")
    def app():
        app = create_app()
        with app.app_context():
            yield app


    @pytest.fixture(scope="module")
    def flask_item(app):
        item = Item(name="flask", data={"a": [1]}, tags={"a": 1}, parts=[Part(), Part()])
        db.session.add_all([item, Entry()])
        db.session.commit()
        yield item
        db.session.delete(item)
        db.session.commit()
        assert named("flask") == 0


    @thrice
    def test_flask(flask_item, time):
        assert flask_item.name == "flask" and named("flask") == 1
        assert flask_item.data == {"a": [1]} and flask_item.tags == {"a": 1}
        assert len(flask_item.parts) == 2
        assert db.session.scalar(select(func.count(Entry.id))) == 1
        flask_item.name = "other"
        flask_item.data["a"].append(2)
        flask_item.tags["b"] = 2
        flask_item.parts.pop()
        flask_item.parts.append(Part())
        db.session.add(Entry())
        db.session.commit()
        assert db.session.scalar(text("select tags ->> 'b' from items where name = 'other'")) == "2"
        db.session.execute(db.delete(Part))
        db.session.delete(flask_item)
        db.session.commit()


    @thrice
    def test_flask_unflushed(flask_item, time):
        assert flask_item.name == "flask" and not db.session.new and not db.session.dirty
        flask_item.name = "other"
        db.session.add(Item(name="new"))


    @pytest.fixture(scope="module")
    def scoped():
        item = Item(name="scoped")
        Scoped.add(item)
        Scoped.commit()
        return item


    @thrice
    def test_scoped(scoped, time):
        assert scoped.name == "scoped" and scoped in Scoped() and scoped.parts == []
        scoped.name = "other"
        Scoped.add(Part(item=scoped))
        Scoped.commit()
        Scoped.remove()


    @thrice
    def test_no_transaction_is_open(scoped, time):
        with Scoped.begin():
            Scoped.delete(scoped)


    @pytest.fixture(scope="module")
    def unloaded(db_engine):
        session = Session(db_engine)
        item = Item(name="unloaded", by_code={"a": Code(code="a")})
        item.note = ["plain"]
        session.add(item)
        session.commit()
        yield item
        session.close()


    @thrice
    def test_unloaded(unloaded, pg, time):
        assert pg.statements == [] and inspect(unloaded).unloaded
        assert unloaded.name == "unloaded" and list(unloaded.by_code) == ["a"]
        assert unloaded.note == ["plain"]
        unloaded.by_code["b"] = Code(code="b")
        unloaded.note = None
        object_session(unloaded).commit()
        del unloaded.by_code["a"]
        object_session(unloaded).close()


    @pytest.fixture(scope="module")
    def detached(db_engine):
        with Session(db_engine, expire_on_commit=False) as session:
            item = Item(name="detached", data={"a": [1]}, tags={"a": 1})
            session.add(item)
            session.commit()
        return item


    @thrice
    def test_detached(detached, db_session, time):
        assert detached.name == "detached" and object_session(detached) is None
        assert detached.data == {"a": [1]} and detached.tags == {"a": 1}
        db_session.add(detached)
        detached.name = "other"
        detached.data["a"].append(2)
        detached.tags["b"] = 2
        db_session.commit()
        db_session.delete(detached)
        db_session.commit()


    @pytest.fixture(scope="module")
    def held(db_engine):
        with Session(db_engine) as session, session.begin():
            item = Item(name="held")
            session.add(item)
            session.flush()
            yield session, item


    @thrice
    def test_held_in_a_block(held, time):
        session, item = held
        assert item in session and item.name == "held" and named("held") == 1
        item.name = "other"
        session.flush()
        session.rollback()
        session.delete(item)
        session.commit()


    @pytest.fixture(scope="module")
    def connection():
        with engine.begin() as connection:
            insert(connection, "connection")
            connection.execute(text("set timezone to 'Asia/Tokyo'"))
            with connection.begin_nested():
                yield connection
            assert named("connection") == 1


    @thrice
    def test_connection(connection, time):
        assert named("connection") == 1
        assert connection.scalar(text("show timezone")) == "Asia/Tokyo"
        connection.execute(text("set timezone to 'UTC'"))
        connection.execute(text("delete from items where name = 'connection'"))


    @pytest.fixture(scope="module")
    def bound():
        connection = engine.connect()
        transaction = connection.begin()
        session = Session(connection, join_transaction_mode="create_savepoint")
        session.add(Item(name="bound"))
        session.commit()
        yield session
        session.close()
        transaction.rollback()
        connection.close()


    @thrice
    def test_bound(bound, time):
        item = bound.scalars(select(Item).where(Item.name == "bound")).one()
        bound.delete(item)
        bound.commit()


    @pytest.fixture(scope="module")
    def made():
        return ItemFactory()


    @thrice
    def test_factories(made, db_session, time):
        assert made.name == "item-0" and made in db_session
        assert ItemFactory().name == "item-1"
        PartFactory(item=made)
        db_session.commit()
        assert len(made.parts) == 1
        db_session.delete(made.parts[0])
        db_session.delete(made)
        db_session.commit()


    @pytest.fixture(scope="module", params=["one", "two"])
    def choice(request):
        with engine.begin() as connection:
            insert(connection, request.param)
        return request.param


    @pytest.fixture(scope="module")
    def above(choice):
        with engine.begin() as connection:
            insert(connection, f"above-{choice}")
        return f"above-{choice}"


    @thrice
    def test_parameters(above, choice, time):
        other = {"one": "two", "two": "one"}[choice]
        assert (named(choice), named(other)) == (1, 0)
        assert (named(f"above-{choice}"), named(f"above-{other}")) == (1, 0)
        delete(choice)
        delete(above)


    class TestClass:
        @pytest.fixture(scope="class", autouse=True)
        @classmethod
        def in_class(cls, core):
            assert named("core") == 1
            with engine.begin() as connection:
                insert(connection, "class")

        @thrice
        def test_class(self, time):
            delete("class")
            delete("core")


    def test_the_class_is_over_or_not_begun(db_session):
        assert named("class") == 0


    class TestUnittest(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            with engine.begin() as connection:
                insert(connection, "unittest")

        @classmethod
        def tearDownClass(cls):
            delete("unittest")

        def test_1(self):
            delete("unittest")

        def test_2(self):
            delete("unittest")


    class TestXunit:
        @classmethod
        def setup_class(cls):
            with engine.begin() as connection:
                insert(connection, "xunit")

        @classmethod
        def teardown_class(cls):
            delete("xunit")

        @thrice
        def test_xunit(self, time):
            delete("xunit")


    @thrice
    def test_unused(core, time):
        pass
"""

_ELSEWHERE = """
    from application import engine
    from sqlalchemy import text

    def setup_module():
        with engine.begin() as connection:
            connection.execute(text("insert into items (name) values ('module')"))

    def teardown_module():
        with engine.begin() as connection:
            assert connection.execute(text("delete from items where name = 'module'")).rowcount

    def test_nothing_of_the_other_module_is_left(pg):
        with engine.begin() as connection:
            names = set(connection.scalars(text("select name from items")))
            assert names <= {"module", "everywhere"}
            connection.execute(text("delete from items where name = 'module'"))

    def test_again(pg):
        test_nothing_of_the_other_module_is_left(pg)
"""

_CONFTEST = """
    import pytest
    from application import engine
    from sqlalchemy import text

    @pytest.fixture(scope="session", autouse=True)
    def everywhere():
        with engine.begin() as connection:
            connection.execute(text("insert into items (name) values ('everywhere')"))
        yield
        with engine.begin() as connection:
            names = list(connection.scalars(text("select name from items")))
            assert names == ["everywhere"], names

    @pytest.fixture(scope="session", autouse=True)
    def only_looks(everywhere):
        with engine.connect() as connection:
            connection.execute(text("select 1"))
"""


@pytest.fixture(scope="module")
def project(make_project: MakeProject) -> Project:
    """Every way to make data for a scope, each asked for by three tests that destroy it."""
    return make_project(
        {
            "models.py": _MODELS,
            "application.py": _APPLICATION,
            "tests/integration/conftest.py": _CONFTEST,
            "tests/integration/test_one.py": _SAME_START,
            "tests/integration/test_two.py": _ELSEWHERE,
            "tests/test_pure.py": "def test_without_a_database(): pass",
        },
        _SETTINGS.replace("models:Base", "application:db"),
    )


@pytest.mark.parametrize(
    ("driver", "arguments"),
    [
        pytest.param("psycopg2", (), id="psycopg2"),
        pytest.param("psycopg", (), id="psycopg", marks=pytest.mark.nightly),
        pytest.param(
            "psycopg2",
            ("-p", "randomly", "-p", "xdist", "-n", "2", "--randomly-seed=1"),
            id="two workers",
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            "psycopg",
            ("-p", "randomly", "--randomly-seed=2"),
            id="random with psycopg",
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            "psycopg2",
            ("-p", "randomly", "--randomly-seed=3"),
            id="random",
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_every_test_starts_from_the_same(
    project: Project, driver: str, arguments: tuple[str, ...]
) -> None:
    """Rows, sessions and objects, whatever the test before has done to them; in any order."""
    run = project.run(*arguments, SHOP_DRIVER=driver)

    assert run.counts == {"passed": 57}


def test_a_wider_session_is_emptied_whatever_its_driver_prepares(make_project: MakeProject) -> None:
    """psycopg deallocates what it has prepared, after five times, as it rolls back."""
    tests = """
        import pytest
        from models import Item
        from sqlalchemy import create_engine, func, select
        from sqlalchemy.engine import make_url
        from sqlalchemy.orm import Session

        @pytest.fixture(scope="session")
        def session(pg):
            engine = create_engine(make_url(pg.url).set(drivername="postgresql+psycopg"))
            with Session(engine) as session:
                session.add(Item(name="tea"))
                session.commit()
                yield session

        def test_1_asks_often(session):
            for _ in range(8):
                session.scalar(select(func.count(Item.id)))
            session.add(Item(name="rum"))
            session.flush()

        def test_2_finds_the_first_alone(session):
            assert not any(each.name == "rum" for each in session)
            assert session.scalars(select(Item.name)).all() == ["tea"]
    """
    outcome = make_project({"tests/integration/test_items.py": tests}).run("-p", "no:randomly")

    assert outcome.counts == {"passed": 2}
    assert "went on after its test" not in outcome.text
