"""Objectives: every wording goes to the history, and exactly one of them holds."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from claude_headspace.errors import Invalid
from claude_headspace.models import Event, Objective, ObjectiveHistory
from claude_headspace.services.objectives import (
    create_objective,
    delete_objective,
    set_objective,
)
from tests.integration.factories import ObjectiveFactory

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
NOBODY = 2**31 - 1

WORDINGS = select(
    ObjectiveHistory.text,
    ObjectiveHistory.constraints,
    ObjectiveHistory.started_at,
    ObjectiveHistory.ended_at,
).order_by(ObjectiveHistory.id)


def test_a_new_objective_opens_its_history(db_session, db_connection):
    """The first wording holds from now on."""
    objective = create_objective(db_session, "Ship it", "By Friday", at=NOON)

    assert (objective.current_text, objective.constraints) == ("Ship it", "By Friday")
    assert objective.set_at == NOON
    assert db_connection.execute(WORDINGS).all() == [("Ship it", "By Friday", NOON, None)]


def test_a_new_objective_is_an_event(db_session, db_connection):
    """There was no text before."""
    objective = create_objective(db_session, "Ship it", at=NOON)

    event = select(Event.event_type, Event.timestamp, Event.payload)
    assert db_connection.execute(event).one() == (
        "objective_changed",
        NOON,
        {
            "objective_id": objective.id,
            "previous_text": None,
            "text": "Ship it",
            "constraints": None,
        },
    )


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_objective_says_something(text, db_session, db_connection):
    """An empty text is refused before anything is written."""
    with pytest.raises(Invalid, match="text: must not be empty"):
        create_objective(db_session, text)
    assert db_connection.scalar(select(func.count(Objective.id))) == 0


def test_a_new_text_closes_one_wording_and_opens_the_next(db_session, db_connection):
    """The one ends when the other begins."""
    objective = create_objective(db_session, "Ship it", "By Friday", at=NOON)
    set_objective(db_session, objective.id, "Ship it well", at=LATER)

    assert (objective.current_text, objective.constraints) == ("Ship it well", None)
    assert objective.set_at == LATER
    assert db_connection.execute(WORDINGS).all() == [
        ("Ship it", "By Friday", NOON, LATER),
        ("Ship it well", None, LATER, None),
    ]


def test_a_new_text_is_an_event_with_the_one_before(db_session, db_connection):
    """The audit log can tell what changed."""
    objective = create_objective(db_session, "Ship it", at=NOON)
    set_objective(db_session, objective.id, "Ship it well", at=LATER)

    payload = db_connection.scalar(select(Event.payload).where(Event.timestamp == LATER))
    assert (payload["previous_text"], payload["text"]) == ("Ship it", "Ship it well")


def test_new_constraints_are_a_new_wording(db_session, db_connection):
    """The text need not change."""
    objective = create_objective(db_session, "Ship it", "By Friday", at=NOON)
    set_objective(db_session, objective.id, "Ship it", "By Monday", at=LATER)

    assert db_connection.execute(WORDINGS).all() == [
        ("Ship it", "By Friday", NOON, LATER),
        ("Ship it", "By Monday", LATER, None),
    ]


def test_what_holds_already_changes_nothing(db_session, db_connection):
    """No row, no event."""
    objective = create_objective(db_session, "Ship it", "By Friday", at=NOON)
    set_objective(db_session, objective.id, "Ship it", "By Friday", at=LATER)

    assert db_connection.execute(WORDINGS).all() == [("Ship it", "By Friday", NOON, None)]
    assert db_connection.scalar(select(func.count(Event.id))) == 1


def test_a_wording_does_not_end_before_it_began(db_session, db_connection):
    """A clock that was set back ends it the moment it began."""
    objective = create_objective(db_session, "Ship it", at=LATER)
    set_objective(db_session, objective.id, "Ship it well", at=NOON)

    assert db_connection.execute(WORDINGS).all() == [
        ("Ship it", None, LATER, LATER),
        ("Ship it well", None, LATER, None),
    ]


def test_an_objective_without_a_history_gets_one(db_session, db_connection):
    """Nothing is open, so nothing is closed."""
    objective = ObjectiveFactory(set_at=NOON)
    set_objective(db_session, objective.id, "Ship it", at=LATER)

    assert db_connection.execute(WORDINGS).all() == [("Ship it", None, LATER, None)]


def test_an_empty_text_leaves_what_holds(db_session, db_connection):
    """The refusal comes before anything is closed."""
    objective = create_objective(db_session, "Ship it", at=NOON)

    with pytest.raises(Invalid, match="text: must not be empty"):
        set_objective(db_session, objective.id, " ")
    assert db_connection.execute(WORDINGS).all() == [("Ship it", None, NOON, None)]


def test_a_change_that_is_rolled_back_leaves_what_holds(db_session, fresh_session):
    """Closing, opening and the event are one transaction, the caller's."""
    objective = create_objective(db_session, "Ship it", at=NOON)
    db_session.commit()
    set_objective(fresh_session, objective.id, "Ship it well", at=LATER)
    fresh_session.rollback()

    assert db_session.execute(WORDINGS).all() == [("Ship it", None, NOON, None)]
    assert db_session.scalar(select(func.count(Event.id))) == 1


def test_a_deleted_objective_takes_its_history_along(db_session, db_connection):
    """The events stay."""
    objective = create_objective(db_session, "Ship it")
    delete_objective(db_session, objective.id)

    assert db_connection.scalar(select(func.count(ObjectiveHistory.id))) == 0
    assert db_connection.scalar(select(func.count(Event.id))) == 1
