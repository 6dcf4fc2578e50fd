"""The application over HTTP."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from depot import web
from depot.models import Parcel
from sqlalchemy import select

from tests.integration.factories import ParcelFactory

ROOT = Path(__file__).parents[2]


# --8<-- [start:app]
@pytest.fixture
def app():
    """What live_server serves."""
    return web.app


# --8<-- [end:app]


# --8<-- [start:request]
def test_a_parcel_is_handed_in(live_server, db_session, pg):
    """Over a real socket, and in the test's transaction."""
    ParcelFactory(code="A1")

    answer = httpx.post(f"{live_server.url}/parcels/B2")

    assert answer.status_code == 201
    assert db_session.scalars(select(Parcel.code).order_by(Parcel.code)).all() == ["A1", "B2"]
    assert pg.outside("select count(*) from parcels") == 0


# --8<-- [end:request]


# --8<-- [start:program]
def test_a_program_that_speaks_http(live_server, db_session):
    """Whatever it is written in: it needs an address."""
    ParcelFactory(code="A1")
    program = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())"
    command = [sys.executable, "-c", program, live_server.url]
    run = subprocess.run(command, capture_output=True, text=True, check=True)

    assert run.stdout == "A1\n"


# --8<-- [end:program]


# --8<-- [start:child]
def test_a_server_that_is_a_process_of_its_own(live_server, db_session):
    """As production starts it; DATABASE_URL leads it into the test."""
    ParcelFactory(code="A1")
    command = [sys.executable, "-m", "flask", "--app", "depot.web", "run", "--port", "{port}"]
    url = live_server.start(command, cwd=ROOT)

    assert httpx.get(url).text == "A1"


# --8<-- [end:child]
