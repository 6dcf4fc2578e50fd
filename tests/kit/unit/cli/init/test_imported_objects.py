"""What is told of a project once its modules are imported, or of what stopped them."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydantic
import pytest

from pgsandbox.cli.init import imported_objects
from pgsandbox.errors import ConfigurationError

MODELS = """
    import enum

    from sqlalchemy import Enum, ForeignKey, String, create_engine
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

    class Base(DeclarativeBase):
        pass

    class Size(enum.Enum):
        SMALL = "small"
        LARGE = "large"

    class Shop(Base):
        __tablename__ = "shops"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(String(20), unique=True)
        note: Mapped[str | None]

    class Item(Base):
        __tablename__ = "items"
        id: Mapped[int] = mapped_column(primary_key=True)
        shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
        size: Mapped[Size] = mapped_column(Enum(Size), default=Size.SMALL)
        kind: Mapped[str] = mapped_column(server_default="plain")

    class Elsewhere(DeclarativeBase):
        pass

    class Other(Elsewhere):
        __tablename__ = "others"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Holder:
        def __init__(self):
            self.kept = create_async_engine("postgresql+asyncpg://shop:secret@db.invalid/shop")

    engine = create_engine("postgresql+psycopg2://shop:secret@db.invalid/shop")
    again = engine
    holder = Holder()
    engines = {"reader": create_engine("postgresql+psycopg2://db.invalid/reader")}
"""

Project = Callable[[str], Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Writes a project's one module, ``shop_of_a_test``, and forgets it afterwards."""

    def write(source: str) -> Path:
        (tmp_path / "shop_of_a_test.py").write_text(textwrap.dedent(source))
        monkeypatch.syspath_prepend(tmp_path)
        return tmp_path

    yield write
    module = sys.modules.pop("shop_of_a_test", None)
    sys.modules.pop("api_of_a_test", None)
    for name in ("Base", "Elsewhere"):
        if hasattr(module, name):  # its mappers would be configured by other tests, too
            getattr(module, name).registry.dispose()


@pytest.fixture
def seen(project: Project) -> dict[str, Any]:
    """What is told of the project above."""
    root = project(MODELS)
    return imported_objects.seen(root, ["shop_of_a_test:Base"], ["shop_of_a_test"])


def test_the_tables_of_each_reference_are_counted(project: Project) -> None:
    """A reference to what has no MetaData holds none."""
    root = project(MODELS)
    references = ["shop_of_a_test:Base.metadata", "shop_of_a_test:Base", "shop_of_a_test:Holder"]
    found = imported_objects.seen(root, references, [])

    assert found["tables"] == dict(zip(references, (2, 2, 0), strict=True))
    assert found["missing"] == []


def test_engines_are_told_once_and_without_passwords(seen: dict[str, Any]) -> None:
    """Those in a dictionary are not, where no dotted name leads to them, called named."""
    found = {each["url"]: each for each in seen["engines"]}
    names = [each["reference"].partition(":")[2] for each in seen["engines"]]

    assert sorted(names) == ["engine", "engines[reader]", "holder.kept"]
    assert "secret" not in str(found)
    assert found["postgresql+asyncpg://shop@db.invalid/shop"]["is_async"]
    assert not found["postgresql+psycopg2://shop@db.invalid/shop"]["is_async"]
    assert not found["postgresql+psycopg2://db.invalid/reader"]["is_named"]


def test_an_engine_is_named_where_it_is_made(project: Project) -> None:
    """A module that imports it, or what holds it, may stop to do so."""
    root = project(MODELS)
    (root / "api_of_a_test.py").write_text("from shop_of_a_test import engine, holder\n")
    found = imported_objects.seen(root, ["shop_of_a_test:Base"], ["api_of_a_test"])

    assert sorted(each["reference"] for each in found["engines"]) == [
        "shop_of_a_test:engine",
        "shop_of_a_test:engines[reader]",
        "shop_of_a_test:holder.kept",
    ]


def test_models_are_those_of_the_references(seen: dict[str, Any]) -> None:
    """With what a row has to be given."""
    models = {each["name"]: each for each in seen["models"]}
    required = {
        name: [each["key"] for each in model["columns"] if each["is_required"]]
        for name, model in models.items()
    }

    assert required == {"Shop": ["name"], "Item": ["shop_id"]}
    assert models["Shop"]["is_importable"]
    assert {each["key"]: each["length"] for each in models["Shop"]["columns"]}["name"] == 20


def test_models_that_can_not_be_configured_are_none(project: Project) -> None:
    """An application's mistake is its own tests' to find."""
    source = MODELS.replace(
        "        note: Mapped[str | None]",
        "        note: Mapped[str | None]\n        lost = relationship('Nowhere')",
    ).replace("DeclarativeBase, Mapped,", "DeclarativeBase, Mapped, relationship,")
    found = imported_objects.seen(project(source), ["shop_of_a_test:Base"], [])

    assert found["tables"] == {"shop_of_a_test:Base": 2}
    assert found["models"] == []


class _Settings(pydantic.BaseModel):
    shop_url: str


def _fail(words: str) -> None:
    raise RuntimeError(words)


def _raised(run: Callable[[], object]) -> BaseException:
    try:
        run()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("run", "missing"),
    [
        (lambda: {}["SHOP_SECRET"], ["SHOP_SECRET"]),
        (lambda: {}["secret"], []),
        (lambda: _fail("SHOP_KEY must be set"), ["SHOP_KEY"]),
        (lambda: _fail("SHOP_KEY"), []),
        (lambda: _Settings.model_validate({}), ["SHOP_URL"]),
    ],
    ids=["environ", "another key", "message", "a name alone", "pydantic"],
)
def test_variables_that_are_missing_are_named(
    tmp_path: Path, run: Callable[[], object], missing: list[str]
) -> None:
    """As far as the error tells."""
    assert imported_objects.failure(tmp_path, _raised(run))["missing"] == missing


def test_a_failure_names_the_line_of_the_project(project: Project) -> None:
    """And the cause of what the kit made of it, in one line, without a password."""
    root = project("\n\nraise ValueError('postgresql://shop:secret@db.invalid/shop\\nand more')\n")
    cause = _raised(lambda: imported_objects.seen(root, [], ["shop_of_a_test"]))
    error = ConfigurationError("What the project is wrong about.")
    error.__cause__ = cause
    found = imported_objects.failure(root, error)

    assert found["place"] == "shop_of_a_test.py:3"
    assert found["error"].startswith("ValueError: postgresql://")
    assert "secret" not in found["error"]
    assert found["error"].endswith("and more")
    assert "\n" not in found["error"]
