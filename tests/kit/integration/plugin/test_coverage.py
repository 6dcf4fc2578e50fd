"""Schema coverage: what is touched, what is not, and what is said of it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome, Project

_FILES = {
    "models.py": """
        from __future__ import annotations
        import enum
        from sqlalchemy import (
            DDL, CheckConstraint, Enum, ForeignKey, Index, UniqueConstraint, event, text
        )
        from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

        class Base(DeclarativeBase):
            pass

        class State(enum.Enum):
            open = 1
            paid = 2
            void = 3

        class Shop(Base):
            __tablename__ = "shops"
            id: Mapped[int] = mapped_column(primary_key=True)
            name: Mapped[str]
            city: Mapped[str | None]
            seats: Mapped[int] = mapped_column(server_default=text("4"))
            floors: Mapped[int] = mapped_column(server_default=text("1"))

            __table_args__ = (
                CheckConstraint("seats > 0", name="has_seats"),
                CheckConstraint("name <> ''", name="has_name"),
                UniqueConstraint("name", name="one_name"),
                Index("by_city", "city"),
                Index("by_seats", "seats"),
            )

        class Order(Base):
            __tablename__ = "orders"
            id: Mapped[int] = mapped_column(primary_key=True)
            shop_id: Mapped[int] = mapped_column(
                ForeignKey("shops.id", ondelete="CASCADE", name="of_shop")
            )
            rival_id: Mapped[int | None] = mapped_column(
                ForeignKey("shops.id", ondelete="SET NULL", name="of_rival")
            )
            state: Mapped[State] = mapped_column(Enum(State, name="state"))
            touched: Mapped[int | None]

        class Unused(Base):
            __tablename__ = "unused"
            id: Mapped[int] = mapped_column(primary_key=True)
            what: Mapped[str]

        FUNCTION = DDL('''CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN NEW.touched = 1; RETURN NEW; END' ''')
        CLOSED = DDL('''CREATE FUNCTION closed() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN RETURN NULL; END' ''')
        EVERY = DDL('''CREATE TRIGGER touches BEFORE INSERT ON orders
            FOR EACH ROW EXECUTE FUNCTION touch()''')
        SOME = DDL('''CREATE TRIGGER closes AFTER UPDATE ON orders FOR EACH ROW
            WHEN (NEW.state = 'void') EXECUTE FUNCTION closed()''')
        for each in (FUNCTION, CLOSED, EVERY, SOME):
            event.listen(Base.metadata, "after_create", each)
    """,
    "tests/integration/test_shops.py": """
        import pytest
        from models import Order, Shop, State
        from sqlalchemy import select, text
        from sqlalchemy.exc import IntegrityError
        from sqlalchemy.orm import Session

        @pytest.fixture
        def session(db_engine):
            with Session(db_engine) as session:
                yield session

        def test_seats(session):
            session.add(Shop(name="a", seats=0))
            with pytest.raises(IntegrityError):
                session.commit()

        def test_order(session):
            shop, rival = Shop(name="a", seats=5), Shop(name="b")
            session.add_all([shop, rival])
            session.flush()
            session.add(Order(shop_id=shop.id, rival_id=rival.id, state=State.open))
            session.commit()
            session.execute(select(Shop.name).where(Shop.city == "x"))
            session.execute(text("UPDATE orders SET state = 'paid'"))
            session.commit()

        def test_deleted(session):
            shop = Shop(name="a")
            session.add(shop)
            session.flush()
            session.add(Order(shop_id=shop.id, state=State.open))
            session.commit()
            session.delete(shop)
            session.commit()
    """,
}


_COMMAND = [sys.executable, "-m", "pgsandbox"]


def _points(project: Project) -> dict[str, str]:
    """Kind, name and point of each part, with its state."""
    data = json.loads((project.path / "coverage.json").read_text())
    parts: list[dict[str, Any]] = data["databases"]["default"]["parts"]
    return {
        f"{part['kind']} {part['table']}.{part['name']} {point}": state
        for part in parts
        for point, state in part["points"].items()
    }


@pytest.fixture(scope="module")
def project(make_project: MakeProject) -> Project:
    """A shop whose tests touch one of each kind, and leave one of each kind."""
    return make_project(_FILES, 'coverage-json = "coverage.json"\n')


@pytest.fixture(scope="module")
def run(project: Project) -> Outcome:
    """What its tests say, measured."""
    return project.run("--pg-coverage", "--pg-coverage-html=pages")


@pytest.fixture(scope="module")
def points(run: Outcome, project: Project) -> dict[str, str]:
    """What they have touched."""
    assert run.counts == {"passed": 3}
    return _points(project)


@pytest.mark.parametrize(
    ("point", "state"),
    {
        "table shops.shops written": "yes",
        "table unused.unused written": "no",
        "column shops.name written": "yes",
        "column shops.city read": "yes",
        "column unused.what read": "no",
        "not null shops.seats given": "yes",
        "not null shops.floors given": "no",
        "check shops.has_seats refused": "yes",
        "check shops.has_name refused": "no",
        "unique shops.one_name refused": "no",
        "foreign key orders.of_shop refused": "no",
        "action orders.of_shop ON DELETE CASCADE fired": "yes",
        "action orders.of_rival ON DELETE SET NULL fired": "no",
        "trigger orders.touches fired": "yes",
        "trigger orders.closes fired": "no",
        "enum value state.open seen": "yes",
        "enum value state.paid seen": "yes",
        "enum value state.void seen": "no",
        "index shops.by_city used": "yes",
        "index shops.by_seats used": "no",
    }.items(),
)
def test_each_kind_is_told(points: dict[str, str], point: str, state: str) -> None:
    """One that was touched, and one that was not."""
    assert points[point] == state


def test_the_table_has_what_is_missing_in_its_order(run: Outcome) -> None:
    """First the table that nobody wrote, by itself, then constraints, actions and triggers."""
    missing = run.out.partition("the most important first:\n")[2].partition("\n\n")[0]
    kinds = [line.split("  ")[1].strip() for line in missing.splitlines()]

    assert " ".join(missing.splitlines()[0].split()) == (
        "table unused no row was ever written (4 more below it)"
    )
    assert kinds[:5] == ["table", "check", "unique", "action", "trigger"]
    assert "unused.what" not in missing
    assert "shops.has_name" in missing
    assert "shops.has_seats" not in missing


def test_a_function_whose_body_is_text_is_named(run: Outcome, project: Project) -> None:
    """What it does is not read."""
    data = json.loads((project.path / "coverage.json").read_text())

    assert data["databases"]["default"]["routines"] == ["touch()"]
    assert "1 functions ran whose bodies are not read" in run.out


def test_the_pages_show_it(run: Outcome, project: Project) -> None:
    """An index, and a page for each table."""
    index = (project.path / "pages" / "index.html").read_text()
    page = (project.path / "pages" / "default_shops.html").read_text()

    assert "has_name" in index
    assert "CHECK ((seats &gt; 0))" in page
    assert '<tr class="mis"><td>check</td><td>has_name</td>' in page
    assert '<tr class="run"><td>check</td><td>has_seats</td>' in page


def test_a_deleted_test_is_found(project: Project) -> None:
    """Without it the constraint never refuses."""
    run = project.run("--pg-coverage", "-k", "not seats")

    assert _points(project)["check shops.has_seats refused"] == "no"
    assert "shops.has_seats" in run.out


@pytest.mark.nightly
def test_workers_are_added_up(project: Project) -> None:
    """Each has run some of the tests."""
    project.run("--pg-coverage")
    before = _points(project)
    project.run("--pg-coverage", "-p", "xdist", "-n", "2")

    assert _points(project) == before


def test_a_threshold_fails_the_run(project: Project) -> None:
    """Although every test has passed."""
    low = project.run("--pg-coverage", "--pg-coverage-threshold=90")
    reached = project.run("--pg-coverage", "--pg-coverage-threshold=20")

    assert (low.code, reached.code) == (1, 0)
    assert "and coverage-threshold wants 90 %" in low.out
    assert "coverage-threshold" not in reached.out


def test_two_runs_are_added_up_by_the_command(project: Project) -> None:
    """What one of them has touched was touched."""
    for name, tests in (("one", "seats"), ("two", "deleted")):
        project.run("--pg-coverage", f"--pg-coverage-file={name}", "-k", tests)
    command = [*_COMMAND, "coverage", "one", "two", "--json", "coverage.json"]
    done = subprocess.run(  # noqa: PLW1510 - asserted below
        command, cwd=project.path, env=project.environ(), capture_output=True, text=True
    )
    found = _points(project)

    assert done.returncode == 0, done.stderr
    assert found["check shops.has_seats refused"] == "yes"
    assert found["action orders.of_shop ON DELETE CASCADE fired"] == "yes"
    assert found["enum value state.paid seen"] == "no"


def test_a_place_that_cannot_be_written_fails_the_run(project: Project) -> None:
    """It is named, and the rest of the summary is there all the same."""
    places = [f"--pg-coverage-{each}=models.py/{each}" for each in ("file", "json", "html")]
    run = project.run("--pg-coverage", *places)

    assert (run.code, run.counts) == (1, {"passed": 3})
    assert "Traceback" not in run.out + run.err
    for each in ("file", "json", "html"):
        place = project.path / "models.py" / each
        assert f"Schema coverage could not be written to {place}" in run.out
    assert "schema coverage" in run.out


def test_the_command_names_a_place_that_cannot_be_written(project: Project) -> None:
    """Without a traceback, as every error of the settings."""
    project.run("--pg-coverage")
    command = [*_COMMAND, "coverage", "--html", "models.py/pages"]
    done = subprocess.run(  # noqa: PLW1510 - asserted below
        command, cwd=project.path, env=project.environ(), capture_output=True, text=True
    )

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "Schema coverage could not be written to models.py/pages" in done.stderr


def test_parameters_are_read_as_texts_are(
    make_project: MakeProject, points: dict[str, str]
) -> None:
    """A driver that sends values beside its statements tells the same."""
    settings = 'coverage-json = "coverage.json"\nurl = "postgresql+psycopg://u@localhost/<name>"\n'
    project = make_project(_FILES, settings)
    run = project.run("--pg-coverage")

    assert run.counts == {"passed": 3}
    assert _points(project) == points


def test_a_clone_counts_by_its_statements(make_project: MakeProject) -> None:
    """And by what was refused; the rest is said to be unknown."""
    clone = "import pytest\n\n\npytestmark = pytest.mark.pgsandbox(isolation='clone')\n"
    tests = textwrap.dedent(_FILES["tests/integration/test_shops.py"])
    project = make_project(
        {**_FILES, "tests/integration/test_shops.py": clone + tests},
        'coverage-json = "coverage.json"\n',
    )
    run = project.run("--pg-coverage")
    found = _points(project)

    assert run.counts == {"passed": 3}
    assert found["check shops.has_seats refused"] == "yes"
    assert found["column shops.name written"] == "yes"
    assert found["action orders.of_shop ON DELETE CASCADE fired"] == "no"
    assert "tests with a database of their own" in run.out


def test_nothing_is_measured_by_default(project: Project) -> None:
    """And no file is written."""
    (project.path / ".pgsandbox-coverage").unlink(missing_ok=True)
    run = project.run()

    assert "schema coverage" not in run.out
    assert not (project.path / ".pgsandbox-coverage").exists()
