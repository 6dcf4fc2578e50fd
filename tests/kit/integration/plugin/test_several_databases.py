"""An application with engines on two databases, made at import time from its own URLs."""

from __future__ import annotations

import pytest

from pgsandbox.servers import Server
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import MODELS, SECRET, Outcome, Project, databases

_SETTINGS = """
url = "application:URL"
redirect = true
child-env = ["SHOP_URL"]

[tool.pgsandbox.binds.archive]
url = "application:archive_url"
metadata = "models:Archive"
"""

_MODELS = f"""
{MODELS}

class Archive(DeclarativeBase):
    pass


class Entry(Archive):
    __tablename__ = "entries"
    id: Mapped[int] = mapped_column(primary_key=True)
"""

_FILES = {
    "models.py": _MODELS,
    "application.py": f"""
        from sqlalchemy import create_engine

        URL = "postgresql+psycopg2://dev:{SECRET}@127.0.0.1:1/<name>"

        def archive_url():
            return create_engine("postgresql+psycopg2://@localhost:1/<name>_archive").url

        engine = create_engine(URL)
        archive = create_engine(archive_url())
    """,
    "tests/integration/test_both.py": """
        import os
        import subprocess
        import sys

        import application
        import pytest
        from models import Entry, Item
        from sqlalchemy import create_engine, text
        from sqlalchemy.orm import Session

        def names(connection):
            return connection.scalar(text("select current_database()")), sorted(
                connection.scalars(text("select relname from pg_class where relkind = 'r' "
                "and relnamespace = 'public'::regnamespace"))
            )

        @pytest.mark.parametrize("time", range(2))
        def test_each_engine_has_its_database(pg, time):
            with application.engine.begin() as default, application.archive.begin() as archive:
                assert names(default) == ("<name>_test", ["items"])
                assert names(archive) == ("<name>_archive_test", ["entries"])
                default.execute(text("insert into items (name) values ('tea')"))
                archive.execute(text("insert into entries default values"))
            with application.archive.connect() as archive:
                assert archive.scalar(text("select count(*) from entries")) == 1
            assert pg.outside("select count(*) from items") == 0
            assert pg.outside("select count(*) from entries", of="archive") == 0

        def test_urls(pg):
            with create_engine(pg.url).connect() as default:
                assert names(default)[0] == "<name>_test"
            with create_engine(pg.url_of("archive")).connect() as archive:
                assert names(archive)[0] == "<name>_archive_test"

        def test_children_are_told(pg):
            child = "import os; print(os.environ['SHOP_URL'], end='')"
            said = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True)
            assert said.stdout == pg.url == os.environ["SHOP_URL"]

        def test_a_third_one_is_refused():
            create_engine("postgresql+psycopg2://@localhost:1/<name>_other").connect()

        def test_fails(db_session):
            db_session.execute(text("select 1"))
            with application.archive.connect() as archive:
                archive.execute(text("select 2"))
            assert not "what it did"
    """,
}


@pytest.fixture(scope="module")
def project(make_project: MakeProject) -> Project:
    """An application that nobody would have to change."""
    return make_project(_FILES, _SETTINGS)


@pytest.fixture(scope="module")
def outcome(project: Project) -> Outcome:
    """Its run."""
    return project.run()


def test_each_url_leads_to_its_test_database(outcome: Outcome) -> None:
    """Redirected, each with its own tables, rolled back together; only a third one is refused."""
    assert outcome.counts == {"passed": 4, "failed": 2}
    assert "ForeignDatabase" in outcome.section("test_a_third_one_is_refused")


def test_the_header_names_both(outcome: Outcome, project: Project) -> None:
    """And says why a server was started: the application's own does not answer."""
    assert outcome.line("pgsandbox: PostgreSQL").endswith(
        "embedded (started, since the application's own server does not answer), "
        f"database {project.name}_test, {project.name}_archive_test"
    )


def test_the_report_tells_them_apart(outcome: Outcome) -> None:
    """One section of SQL for each database."""
    said = outcome.section("test_fails")

    assert " what PostgreSQL saw --" in said
    assert " what PostgreSQL saw, archive --" in said


def test_both_are_dropped(outcome: Outcome, project: Project, server: Server) -> None:
    """And no password was shown."""
    assert databases(server, project.name) == []
    assert SECRET not in outcome.text
