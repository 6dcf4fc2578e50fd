"""The event writer: with a caller's session in its transaction, without one on its own engine."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from claude_headspace.errors import Invalid
from claude_headspace.models import Event
from claude_headspace.services.event_writer import EventWriter, NewEvent, write_event
from tests.integration.factories import EventFactory, ProjectFactory, TurnFactory

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
NOBODY = 2**31 - 1
NOTIFICATION = NewEvent("notification_sent", {"text": "The tests are green"})

COUNT = select(func.count(Event.id))


@pytest.fixture
def writer(pg):
    """A writer on the test database, with an engine of its own."""
    return EventWriter(pg.url)


@pytest.fixture
def losing_connections(db_connection):
    """Let the database report a lost connection for the first INSERTs of an event.

    ``losing_connections(2)`` does it for two; ``at="COMMIT"`` says so only when it is committed.
    A sequence counts the attempts: what it counted is not rolled back.
    """

    def lose(times, at="INSERT"):
        db_connection.execute(text("CREATE SEQUENCE attempts"))
        db_connection.execute(
            text(
                f"""
                CREATE FUNCTION lose_connection() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF nextval('attempts') <= {times} THEN
                        RAISE 'the connection is lost' USING ERRCODE = 'connection_failure';
                    END IF;
                    RETURN NULL;
                END $$
                """
            )
        )
        timing = {"INSERT": "IMMEDIATE", "COMMIT": "DEFERRED"}[at]
        db_connection.execute(
            text(
                "CREATE CONSTRAINT TRIGGER lose_connection AFTER INSERT ON events "
                f"DEFERRABLE INITIALLY {timing} "
                "FOR EACH ROW EXECUTE FUNCTION lose_connection()"
            )
        )
        db_connection.commit()

    return lose


# --- in the caller's transaction ------------------------------------------------------------------


def test_an_event_is_written_with_everything_it_is_about(db_session, fresh_session):
    """References, payload and time are read back as they were given."""
    turn = TurnFactory()
    payload = {
        "session_uuid": str(turn.task.agent.session_uuid),
        "actor": "user",
        "text": "Write the tests",
        "source": "hook",
        "turn_timestamp": NOON.isoformat(),
    }
    event = write_event(
        db_session,
        NewEvent(
            "turn_detected",
            payload,
            project_id=turn.task.agent.project_id,
            agent_id=turn.task.agent_id,
            task_id=turn.task_id,
            turn_id=turn.id,
            timestamp=NOON,
        ),
    )
    db_session.commit()

    read = fresh_session.get(Event, event.id)
    assert (read.event_type, read.payload, read.timestamp) == ("turn_detected", payload, NOON)
    assert read.project.id == turn.task.agent.project_id
    assert (read.agent_id, read.task_id, read.turn_id) == (
        turn.task.agent_id,
        turn.task_id,
        turn.id,
    )


def test_an_event_falls_with_the_callers_transaction(db_session, writer):
    """Given a session, the writer writes there, returns the row's id, and does not commit."""
    event_id = writer.write(NOTIFICATION, db_session)
    assert db_session.get(Event, event_id).payload == {"text": "The tests are green"}
    db_session.rollback()

    assert db_session.scalar(COUNT) == 0


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (NewEvent("coffee_made"), "'coffee_made' is none of"),
        (NewEvent("session_ended", {"reason": "closed"}), "payload.session_uuid: is required"),
        (NewEvent("notification_sent", {"text": "\0"}), "NUL character"),
    ],
)
def test_a_payload_that_is_not_the_types_own_is_refused(event, why, db_session, writer):
    """With a session and without one, before anything is sent."""
    with pytest.raises(Invalid, match=why):
        write_event(db_session, event)
    with pytest.raises(Invalid, match=why):
        writer.write(event)
    assert db_session.scalar(COUNT) == 0


# --- on an engine of its own ----------------------------------------------------------------------


# --8<-- [start:own_engine]
def test_an_event_is_committed_when_the_writer_returns(writer, db_session, pg):
    """No session was given, so the writer used its own engine, and committed there."""
    event_id = writer.write(NOTIFICATION)

    assert db_session.get(Event, event_id).event_type == "notification_sent"
    assert pg.outside("select count(*) from events") == 0


# --8<-- [end:own_engine]


def test_an_event_stays_when_the_transaction_around_it_is_rolled_back(writer, db_session):
    """An audit log has to say what was tried."""
    ProjectFactory()
    writer.write(NOTIFICATION)
    db_session.rollback()

    assert db_session.scalar(COUNT) == 1


def test_a_refused_event_is_not_half_written(writer, db_session):
    """It refers to nothing; the database says so at once, and the writer works on."""
    with pytest.raises(IntegrityError, match="fk_events_project_id_projects"):
        writer.write(NewEvent("notification_sent", project_id=NOBODY))
    writer.write(NOTIFICATION)

    assert db_session.scalar(COUNT) == 1


def test_several_threads_use_one_writer(writer, db_session):
    """More of them than the writer has connections."""
    with ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(writer.write, [NOTIFICATION] * 24))

    assert db_session.scalars(select(Event.id).order_by(Event.id)).all() == sorted(ids)


def test_a_writer_keeps_five_connections(writer):
    """They are its own: the application's pool may be exhausted meanwhile."""
    assert writer.engine.pool.size() == 5


def test_a_disposed_writer_makes_a_new_engine(writer, db_session):
    """The next event connects anew."""
    writer.write(NOTIFICATION)
    first = writer.engine
    writer.dispose()
    writer.write(NOTIFICATION)

    assert writer.engine is not first
    assert db_session.scalar(COUNT) == 2


# --- lost connections -----------------------------------------------------------------------------


# --8<-- [start:retry]
def test_a_lost_connection_is_tried_again(losing_connections, writer, db_session, caplog):
    """Twice the connection is lost, the third attempt writes the event, once."""
    losing_connections(2)
    writer.write(NOTIFICATION)

    assert db_session.scalar(COUNT) == 1
    assert "event not written at attempt 2: the connection is lost" in caplog.text


# --8<-- [end:retry]


def test_a_commit_without_an_answer_is_tried_again(losing_connections, writer, db_session):
    """With the same id: had the first attempt succeeded, the event would still be there once."""
    losing_connections(1, at="COMMIT")
    id_before = db_session.scalar(text("SELECT nextval('events_id_seq')"))
    event_id = writer.write(NOTIFICATION)

    assert event_id == id_before + 1
    assert db_session.scalars(select(Event.id)).all() == [event_id]


def test_after_three_attempts_the_caller_hears_of_it(losing_connections, writer, db_session):
    """Nothing is written."""
    losing_connections(3)

    with pytest.raises(OperationalError, match="the connection is lost"):
        writer.write(NOTIFICATION)
    assert db_session.scalar(COUNT) == 0


@pytest.mark.pgsandbox(isolation="clone")
def test_a_session_that_the_server_ends_is_replaced(db_connection, writer, db_session):
    """A real end of a real session, so the test has a database of its own."""
    db_connection.execute(text("CREATE SEQUENCE attempts"))
    db_connection.execute(
        text(
            """
            CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF nextval('attempts') = 1 THEN
                    PERFORM pg_terminate_backend(pg_backend_pid());
                END IF;
                RETURN NEW;
            END $$
            """
        )
    )
    db_connection.execute(
        text(
            "CREATE TRIGGER end_session BEFORE INSERT ON events "
            "FOR EACH ROW EXECUTE FUNCTION end_session()"
        )
    )
    db_connection.commit()
    event_id = writer.write(NOTIFICATION)

    assert db_session.scalars(select(Event.id)).all() == [event_id]
    assert db_session.scalar(text("SELECT last_value FROM attempts")) == 2


def test_a_refusal_is_not_tried_again(losing_connections, writer, db_session):
    """What the database refuses once it refuses again."""
    losing_connections(0)
    with pytest.raises(IntegrityError):
        writer.write(NewEvent("notification_sent", agent_id=NOBODY))

    assert db_session.scalar(text("SELECT nextval('attempts')")) == 1
    assert EventFactory().id is not None
