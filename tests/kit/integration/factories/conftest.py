"""A session in the sandbox with the models' tables, found by factories as in any test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from pgsandbox import factories
from tests.kit.integration.factories.models import Base


@pytest.fixture
def session(db_session: Session) -> Session:
    """A session in whose database the tables of the models stand, for this test only."""
    Base.metadata.create_all(db_session.connection())
    db_session.commit()
    return db_session


@pytest.fixture
def in_test(session: Session) -> Iterator[Session]:
    """The session of a running test: the one that factories find."""
    factories.begin_test("a seed")
    factories.use_session_source(lambda: session)
    yield session
    factories.use_session_source(None)


@pytest.fixture
def other_session(db_engine: Engine) -> Iterator[Session]:
    """A second session, on a connection of its own."""
    with Session(db_engine) as session:
        yield session


@pytest.fixture
def flushes(session: Session) -> list[int]:
    """How many objects each flush of the session wrote, so far."""
    written: list[int] = []
    event.listen(session, "after_flush", lambda session, _: written.append(len(session.new)))
    return written


@pytest.fixture
def statements(session: Session) -> Iterator[list[str]]:
    """The statements that the session sent, so far."""
    engine = session.get_bind()
    sent: list[str] = []

    def remember(*args: object) -> None:
        sent.append(str(args[2]))

    event.listen(engine, "before_cursor_execute", remember)
    yield sent
    event.remove(engine, "before_cursor_execute", remember)
