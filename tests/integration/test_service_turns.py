"""Turns: each moves its task, and turn, task and event are written together or not at all."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from claude_headspace.domain.states import TaskState, TurnActor, TurnIntent
from claude_headspace.domain.transitions import Outcome
from claude_headspace.models import Agent, Event, Task, Turn
from claude_headspace.services.turns import process_turn
from tests.integration.factories import AgentFactory, TaskFactory, TurnFactory

USER, AGENT = TurnActor.USER, TurnActor.AGENT
SESSION = UUID("5ca1ab1e-0000-4000-8000-000000000000")
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOBODY = 2**31 - 1

EVENTS = select(
    Event.event_type, Event.payload["from_state"].astext, Event.payload["to_state"].astext
)


# --- turns that move their task -------------------------------------------------------------------


def test_a_first_command_makes_a_task(db_session, fresh_session):
    """An agent without a task gets one, and it is commanded."""
    agent = AgentFactory()
    result = process_turn(db_session, agent.session_uuid, USER, "Write the tests", at=NOON)
    db_session.commit()

    task = fresh_session.scalars(select(Task)).one()
    assert (task.agent_id, task.state) == (agent.id, TaskState.COMMANDED)
    assert (task.started_at, task.completed_at) == (NOON, None)
    assert result.is_stored
    assert result.task.id == task.id


def test_a_turn_is_stored_with_what_it_means(db_session, fresh_session):
    """By whom, the text, the intent and the time."""
    agent = AgentFactory()
    process_turn(db_session, agent.session_uuid, USER, "Write the tests", at=NOON)
    db_session.commit()

    turn = fresh_session.scalars(select(Turn)).one()
    assert (turn.actor, turn.intent) == (USER, TurnIntent.COMMAND)
    assert (turn.text, turn.timestamp) == ("Write the tests", NOON)


def test_a_transition_is_an_event(db_session, fresh_session):
    """It names everything that it is about, and why the task moved."""
    agent = AgentFactory()
    result = process_turn(db_session, agent.session_uuid, USER, "Write the tests", at=NOON)
    db_session.commit()

    event = fresh_session.scalars(select(Event)).one()
    assert (event.event_type, event.timestamp) == ("state_transition", NOON)
    assert (event.project_id, event.agent_id) == (agent.project_id, agent.id)
    assert (event.task_id, event.turn_id) == (result.task.id, result.turn.id)
    assert event.payload == {
        "from_state": "idle",
        "to_state": "commanded",
        "trigger": "user:command",
        "confidence": 1.0,
    }


@pytest.mark.parametrize(
    ("before", "actor", "text", "after"),
    [
        (TaskState.IDLE, USER, "Write the tests", TaskState.COMMANDED),
        (TaskState.COMMANDED, AGENT, "Reading the models", TaskState.PROCESSING),
        (TaskState.COMMANDED, AGENT, "Which database?", TaskState.AWAITING_INPUT),
        (TaskState.COMMANDED, AGENT, "Done.", TaskState.COMPLETE),
        (TaskState.PROCESSING, AGENT, "Still reading", TaskState.PROCESSING),
        (TaskState.PROCESSING, AGENT, "Which database?", TaskState.AWAITING_INPUT),
        (TaskState.PROCESSING, AGENT, "Done.", TaskState.COMPLETE),
        (TaskState.AWAITING_INPUT, USER, "PostgreSQL", TaskState.PROCESSING),
    ],
)
def test_a_turn_moves_its_task(before, actor, text, after, db_session, db_connection):
    """The row has the new state, and the event says from where to where."""
    task = TaskFactory(state=before)
    process_turn(db_session, task.agent.session_uuid, actor, text)

    assert db_connection.scalars(select(Task.state)).all() == [after]
    assert db_connection.execute(EVENTS).all() == [("state_transition", before, after)]


def test_a_completion_completes_the_task(db_session, db_connection):
    """The completion time is the turn's."""
    task = TaskFactory(state=TaskState.PROCESSING, started_at=NOON)
    process_turn(db_session, task.agent.session_uuid, AGENT, "Done.", at=NOON + MINUTE)

    assert db_connection.scalar(select(Task.completed_at)) == NOON + MINUTE


def test_a_task_is_not_completed_before_it_began(db_session, db_connection):
    """A clock that was set back completes it at its start."""
    task = TaskFactory(state=TaskState.PROCESSING, started_at=NOON)
    process_turn(db_session, task.agent.session_uuid, AGENT, "Done.", at=NOON - MINUTE)

    assert db_connection.scalar(select(Task.completed_at)) == NOON


def test_the_next_command_makes_the_next_task(db_session):
    """A complete task takes no more turns."""
    complete = TaskFactory(is_complete=True)
    result = process_turn(db_session, complete.agent.session_uuid, USER, "And now the API")

    assert result.task is not complete
    assert result.task.state is TaskState.COMMANDED


def test_the_newest_open_task_takes_the_turn(db_session):
    """An older one that waits is not touched."""
    agent = AgentFactory()
    older = TaskFactory(agent=agent, state=TaskState.AWAITING_INPUT, started_at=NOON)
    newer = TaskFactory(agent=agent, state=TaskState.COMMANDED, started_at=NOON + MINUTE)
    result = process_turn(db_session, agent.session_uuid, AGENT, "Reading the models")

    assert result.task is newer
    assert older.state is TaskState.AWAITING_INPUT


def test_another_agents_task_is_not_touched(db_session):
    """Whatever state it is in."""
    other = TaskFactory(state=TaskState.PROCESSING)
    task = TaskFactory(state=TaskState.PROCESSING)
    process_turn(db_session, task.agent.session_uuid, AGENT, "Done.")

    assert other.state is TaskState.PROCESSING


# --- a command while the agent waits --------------------------------------------------------------


def test_a_command_while_the_agent_waits_starts_a_new_task(db_session, db_connection):
    """The caller knows that it is a command; the old task goes on waiting."""
    waiting = TaskFactory(state=TaskState.AWAITING_INPUT)
    uuid = waiting.agent.session_uuid
    result = process_turn(db_session, uuid, USER, "Stop", intent=TurnIntent.COMMAND)

    assert result.transition.outcome is Outcome.STARTS_NEW_TASK
    assert result.task is not waiting
    assert db_connection.scalars(select(Task.state).order_by(Task.id)).all() == [
        TaskState.AWAITING_INPUT,
        TaskState.COMMANDED,
    ]
    assert db_connection.execute(EVENTS).all() == [("state_transition", "idle", "commanded")]


def test_the_agent_waits_again_when_the_new_task_is_complete(db_session):
    """The old task is its newest open one then."""
    waiting = TaskFactory(state=TaskState.AWAITING_INPUT)
    uuid = waiting.agent.session_uuid
    process_turn(db_session, uuid, USER, "Stop", intent=TurnIntent.COMMAND)
    process_turn(db_session, uuid, AGENT, "Done.")

    assert db_session.scalar(select(Agent.state).select_from(Agent)) == "awaiting_input"


def test_an_intent_that_is_given_is_certain(db_session):
    """The text is not looked at."""
    task = TaskFactory(state=TaskState.COMMANDED)
    result = process_turn(
        db_session, task.agent.session_uuid, AGENT, "Done.", intent=TurnIntent.QUESTION
    )

    assert task.state is TaskState.AWAITING_INPUT
    assert result.detected.confidence == 1.0
    assert result.detected.matched == "given by the caller"


# --- turns that do not fit ------------------------------------------------------------------------


def test_an_invalid_turn_writes_nothing(db_session, db_connection):
    """No turn, no event, and the task stays where it is."""
    task = TaskFactory(state=TaskState.PROCESSING)
    result = process_turn(db_session, task.agent.session_uuid, USER, "Hurry up")

    assert not result.is_stored
    assert result.task is task
    assert db_connection.scalars(select(Task.state)).all() == [TaskState.PROCESSING]
    assert db_connection.scalar(select(func.count(Turn.id))) == 0
    assert db_connection.scalar(select(func.count(Event.id))) == 0


def test_an_invalid_turn_is_in_the_log(db_session, caplog):
    """The result and the log say why."""
    task = TaskFactory(state=TaskState.PROCESSING)
    result = process_turn(db_session, task.agent.session_uuid, USER, "Hurry up")

    assert result.transition.reason.startswith("a task that is processing accepts")
    assert result.transition.reason in caplog.text


def test_an_invalid_first_turn_makes_no_task(db_session, db_connection):
    """An agent that has nothing to do has nothing to report."""
    agent = AgentFactory()
    result = process_turn(db_session, agent.session_uuid, AGENT, "Done.")

    assert (result.task, result.turn) == (None, None)
    assert db_connection.scalar(select(func.count(Task.id))) == 0


# --- transaction, locks, statements ---------------------------------------------------------------


# --8<-- [start:one_transaction]
def test_turn_task_and_event_are_one_transaction(db_engine, db_session):
    """Rolled back, all three are gone and the task is where it was."""
    task = TaskFactory(state=TaskState.PROCESSING)
    db_session.commit()
    with Session(db_engine) as session:
        process_turn(session, task.agent.session_uuid, AGENT, "Done.")
        session.rollback()

    assert db_session.scalars(select(Task.state)).all() == [TaskState.PROCESSING]
    assert db_session.scalar(select(func.count(Turn.id))) == 0
    assert db_session.scalar(select(func.count(Event.id))) == 0


# --8<-- [end:one_transaction]


def test_project_agent_and_task_are_locked_in_this_order(db_session, pg):
    """Everybody who locks them does it from the top down."""
    task = TaskFactory(state=TaskState.PROCESSING)
    with pg.counting() as queries:
        process_turn(db_session, task.agent.session_uuid, AGENT, "Done.")

    of_project, of_agent, of_task = queries.statements[:3]
    assert of_project.endswith("FOR KEY SHARE OF projects")
    assert of_agent.endswith("FOR NO KEY UPDATE")
    assert of_task.endswith("FOR UPDATE")


def test_a_long_history_costs_no_further_statement(db_session, pg):
    """The hundredth turn takes as many statements as the second."""
    task = TaskFactory(state=TaskState.PROCESSING)
    uuid = task.agent.session_uuid
    with pg.counting() as early:
        process_turn(db_session, uuid, AGENT, "Still reading")
    TurnFactory.create_batch(50, task=task)
    TaskFactory.create_batch(50, agent=task.agent, is_complete=True)
    with pg.counting() as late:
        process_turn(db_session, uuid, AGENT, "Still reading")

    assert len(late) == len(early)
