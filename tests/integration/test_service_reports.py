"""Reports: computed by the database, one statement each."""

from datetime import UTC, datetime, timedelta

from claude_headspace.domain.states import TaskState
from claude_headspace.services.paging import Page
from claude_headspace.services.reports import Scope, TaskTurns, time_per_state, turns_per_task
from tests.integration.factories import EventFactory, TaskFactory, TurnFactory

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOTHING = {
    TaskState.IDLE: timedelta(),
    TaskState.COMMANDED: timedelta(),
    TaskState.PROCESSING: timedelta(),
    TaskState.AWAITING_INPUT: timedelta(),
}


def transition(task, to_state, at):
    """Write the event that a turn writes when it moves its task."""
    return EventFactory(
        agent=task.agent,
        task=task,
        event_type="state_transition",
        payload={"to_state": to_state},
        timestamp=at,
    )


# --- turns per task -------------------------------------------------------------------------------


def test_turns_are_counted_by_speaker(db_session):
    """With the times of the first and the last."""
    task = TaskFactory(state=TaskState.PROCESSING)
    TurnFactory(task=task, timestamp=NOON)
    TurnFactory(task=task, timestamp=NOON + MINUTE, is_progress=True)
    TurnFactory(task=task, timestamp=NOON + 2 * MINUTE, is_progress=True)

    assert turns_per_task(db_session) == [
        TaskTurns(
            task_id=task.id,
            agent_id=task.agent_id,
            state=TaskState.PROCESSING,
            turns=3,
            user_turns=1,
            agent_turns=2,
            first_turn_at=NOON,
            last_turn_at=NOON + 2 * MINUTE,
        )
    ]


def test_a_task_without_turns_counts_none(db_session):
    """It is in the report, with zeros and without times."""
    task = TaskFactory(state=TaskState.IDLE)

    assert turns_per_task(db_session) == [
        TaskTurns(task.id, task.agent_id, TaskState.IDLE, 0, 0, 0, None, None)
    ]


def test_the_newest_task_is_reported_first(db_session):
    """And a part of the report is the database's work."""
    older = TaskFactory(started_at=NOON)
    newer = TaskFactory(started_at=NOON + MINUTE)

    assert [row.task_id for row in turns_per_task(db_session)] == [newer.id, older.id]
    second = turns_per_task(db_session, page=Page(limit=1, offset=1))
    assert [row.task_id for row in second] == [older.id]


def test_turns_are_reported_of_a_project_an_agent_or_a_task(db_session):
    """What is outside of the scope is left out."""
    task, _ = TaskFactory.create_batch(2)

    of_project = turns_per_task(db_session, Scope(project_id=task.agent.project_id))
    of_agent = turns_per_task(db_session, Scope(agent_id=task.agent_id))
    of_task = turns_per_task(db_session, Scope(task_id=task.id))
    assert [row.task_id for row in of_project] == [task.id]
    assert of_project == of_agent == of_task


# --- time per state -------------------------------------------------------------------------------


def test_nothing_took_no_time(db_session):
    """Every state but complete is in the report."""
    assert time_per_state(db_session) == NOTHING


def test_time_is_counted_from_event_to_event(db_session):
    """The last state goes on until the report's time."""
    task = TaskFactory(state=TaskState.AWAITING_INPUT, started_at=NOON)
    transition(task, "commanded", NOON + 1 * MINUTE)
    transition(task, "processing", NOON + 3 * MINUTE)
    transition(task, "awaiting_input", NOON + 7 * MINUTE)

    assert time_per_state(db_session, until=NOON + 15 * MINUTE) == {
        TaskState.IDLE: 1 * MINUTE,
        TaskState.COMMANDED: 2 * MINUTE,
        TaskState.PROCESSING: 4 * MINUTE,
        TaskState.AWAITING_INPUT: 8 * MINUTE,
    }


def test_a_complete_task_takes_no_more_time(db_session):
    """Its last state ended when it was completed."""
    task = TaskFactory(is_complete=True, started_at=NOON, completed_at=NOON + 3 * MINUTE)
    transition(task, "commanded", NOON)
    transition(task, "complete", NOON + 3 * MINUTE)

    times = time_per_state(db_session, until=NOON + 60 * MINUTE)
    assert times == {**NOTHING, TaskState.COMMANDED: 3 * MINUTE}


def test_a_complete_task_without_its_last_event_takes_no_more_time_either(db_session):
    """Its completion time ends the last state that is known."""
    task = TaskFactory(is_complete=True, started_at=NOON, completed_at=NOON + 3 * MINUTE)
    transition(task, "commanded", NOON)

    times = time_per_state(db_session, until=NOON + 60 * MINUTE)
    assert times == {**NOTHING, TaskState.COMMANDED: 3 * MINUTE}


def test_a_task_without_events_was_in_its_state_all_the_time(db_session):
    """A task that was migrated, for instance."""
    TaskFactory(state=TaskState.PROCESSING, started_at=NOON)

    times = time_per_state(db_session, until=NOON + 5 * MINUTE)
    assert times == {**NOTHING, TaskState.PROCESSING: 5 * MINUTE}


def test_a_state_that_is_entered_again_goes_on(db_session):
    """Progress after progress is one time of processing, in two parts."""
    task = TaskFactory(state=TaskState.PROCESSING, started_at=NOON)
    transition(task, "processing", NOON)
    transition(task, "processing", NOON + 2 * MINUTE)

    times = time_per_state(db_session, until=NOON + 3 * MINUTE)
    assert times == {**NOTHING, TaskState.PROCESSING: 3 * MINUTE}


def test_the_future_takes_no_time(db_session):
    """A task that started after the report's time counts nothing."""
    TaskFactory(state=TaskState.PROCESSING, started_at=NOON)

    assert time_per_state(db_session, until=NOON - MINUTE) == NOTHING


def test_times_of_several_tasks_are_added(db_session):
    """All tasks together, or those of one project, one agent, one task."""
    task = TaskFactory(state=TaskState.PROCESSING, started_at=NOON)
    TaskFactory(state=TaskState.PROCESSING, started_at=NOON)

    def processing(scope):
        return time_per_state(db_session, scope, until=NOON + MINUTE)[TaskState.PROCESSING]

    assert processing(Scope()) == 2 * MINUTE
    assert processing(Scope(project_id=task.agent.project_id)) == MINUTE
    assert processing(Scope(agent_id=task.agent_id)) == MINUTE
    assert processing(Scope(task_id=task.id)) == MINUTE


def test_other_events_do_not_count(db_session):
    """Only transitions move a task."""
    task = TaskFactory(state=TaskState.COMMANDED, started_at=NOON)
    EventFactory(agent=task.agent, task=task, timestamp=NOON)

    times = time_per_state(db_session, until=NOON + MINUTE)
    assert times == {**NOTHING, TaskState.COMMANDED: MINUTE}
