"""The project whose runs are killed: sandboxed tests, clones, threads, and a migration or none."""

from __future__ import annotations

from pathlib import Path

from tests.kit.integration.plugin.projects import MODELS, Project

_TESTS = """
import threading

import pytest
from models import Item
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session


@pytest.mark.parametrize("number", range(12))
def test_commits(db_session, pg, number):
    engine = create_engine(pg.url)
    with Session(engine) as session:
        session.add(Item(name="tea"))
        session.commit()

    assert db_session.scalar(text("select count(*) from items")) == 1


def test_thread(db_session, db_engine):
    def write():
        with Session(db_engine) as session:
            session.add(Item(name="tea"))
            session.commit()

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()

    assert db_session.scalar(text("select count(*) from items")) == 1


@pytest.mark.pgsandbox(isolation="clone")
@pytest.mark.parametrize("number", range(3))
def test_clone(pg, number):
    engine = create_engine(pg.url)
    with Session(engine) as session, Session(engine) as other:
        session.add(Item(name="tea"))
        session.commit()

        assert other.scalar(text("select count(*) from items")) == 1
    engine.dispose()
"""


def write_project(path: Path) -> Project:
    """The project at *path*, whose database has a name that no other has."""
    path.mkdir(parents=True, exist_ok=True)
    project = Project(path)
    project.write({"models.py": MODELS, "tests/integration/test_items.py": _TESTS})
    project.configure('[tool.pgsandbox]\nmetadata = "models:Base"\n')
    return project
