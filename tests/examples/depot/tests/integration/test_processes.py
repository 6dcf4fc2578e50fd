"""Other processes, and another language, in the transaction of the test."""

import multiprocessing
import os
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from depot.importer import add
from depot.models import Parcel
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session

from tests.integration.factories import ParcelFactory

ROOT = Path(__file__).parents[2]


# --8<-- [start:command]
def test_an_import_of_two_parcels(db_session, pg):
    """The command reads DATABASE_URL, sees the test's parcel, and commits two."""
    ParcelFactory()
    command = [sys.executable, "-m", "depot.importer"]
    run = subprocess.run(
        command, input="A1\nB2\n", capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert run.stdout == "2\n3\n"
    assert db_session.scalar(select(func.count(Parcel.id))) == 3
    assert pg.outside("select count(*) from parcels") == 0


# --8<-- [end:command]


# --8<-- [start:workers]
@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_workers_of_a_pool(method, db_session):
    """Two at once; their statements take turns in the one transaction."""
    ParcelFactory()
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        list(pool.map(add, ["A1", "B2", "C3"]))

    codes = db_session.scalars(select(Parcel.code).order_by(Parcel.code)).all()
    assert codes == ["A1", "B2", "C3", "P0"]


# --8<-- [end:workers]


# --8<-- [start:fork]
def test_a_fork_in_the_middle_of_a_transaction(pg, db_session):
    """The child gets a connection of its own; the parent's is as it was."""
    engine = create_engine(pg.url)
    with Session(engine) as session:
        session.add(Parcel(code="A1"))
        session.flush()
        child = os.fork()
        if child == 0:
            with Session(engine) as of_the_child:
                of_the_child.add(Parcel(code="B2"))
                of_the_child.commit()
            os._exit(0)
        assert os.waitpid(child, 0) == (child, 0)
        session.commit()

    assert db_session.scalar(select(func.count(Parcel.id))) == 2


# --8<-- [end:fork]


# --8<-- [start:node]
def test_a_worker_in_javascript(db_session, pg):
    """It is given nothing but the URL."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node on this machine")
    parcel = ParcelFactory(code="A1")
    command = [node, "depot/worker.js", pg.tcp_url]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)

    db_session.refresh(parcel)
    assert run.stdout == "A1\n"
    assert parcel.is_delivered


# --8<-- [end:node]
