"""What the database itself refuses, and what it deletes along: each by making it do so."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import DataError, IntegrityError

from claude_headspace.domain.states import TaskState, TurnActor, TurnIntent
from claude_headspace.models import (
    Agent,
    Event,
    Objective,
    ObjectiveHistory,
    Project,
    Task,
    Turn,
)
from tests.integration.factories import (
    AgentFactory,
    EventFactory,
    ObjectiveFactory,
    ObjectiveHistoryFactory,
    ProjectFactory,
    TaskFactory,
    TurnFactory,
)

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
BEFORE_NOON = NOON - timedelta(seconds=1)
NOBODY = 2**31 - 1

REQUIRED = {
    ProjectFactory: ["name", "path", "created_at"],
    AgentFactory: ["session_uuid", "project_id", "started_at", "last_seen_at"],
    TaskFactory: ["agent_id", "state", "started_at"],
    TurnFactory: ["task_id", "actor", "intent", "text", "timestamp"],
    EventFactory: ["event_type", "timestamp"],
    ObjectiveFactory: ["current_text", "set_at"],
    ObjectiveHistoryFactory: ["objective_id", "text", "started_at"],
}
OPTIONAL = {
    ProjectFactory: ["github_repo", "current_branch"],
    AgentFactory: ["claude_session_id", "iterm_pane_id", "ended_at"],
    TaskFactory: ["completed_at"],
    EventFactory: ["project_id", "agent_id", "task_id", "turn_id", "payload"],
    ObjectiveFactory: ["constraints"],
    ObjectiveHistoryFactory: ["constraints", "ended_at"],
}
REFERENCES = [
    (AgentFactory, "project_id", "fk_agents_project_id_projects"),
    (TaskFactory, "agent_id", "fk_tasks_agent_id_agents"),
    (TurnFactory, "task_id", "fk_turns_task_id_tasks"),
    (EventFactory, "project_id", "fk_events_project_id_projects"),
    (EventFactory, "agent_id", "fk_events_agent_id_agents"),
    (EventFactory, "task_id", "fk_events_task_id_tasks"),
    (EventFactory, "turn_id", "fk_events_turn_id_turns"),
    (
        ObjectiveHistoryFactory,
        "objective_id",
        "fk_objective_histories_objective_id_objectives",
    ),
]


def each_of(columns):
    """Return every factory with each of its columns."""
    return [(make, column) for make, names in columns.items() for column in names]


# --- not null, foreign keys -----------------------------------------------------------------------


@pytest.mark.parametrize(("make", "column"), each_of(REQUIRED))
def test_a_required_column_takes_no_null(make, column, db_session):
    """The database refuses null, whatever Python's defaults would have filled in."""
    row = make()

    with pytest.raises(IntegrityError, match=f'null value in column "{column}"'):
        db_session.execute(update(type(row)).values({column: None}))


@pytest.mark.parametrize(("make", "column"), each_of(OPTIONAL))
def test_an_optional_column_takes_null(make, column, db_session):
    """The database takes null where the models say that there may be nothing."""
    row = make()
    changed = db_session.execute(update(type(row)).values({column: None}))

    assert changed.rowcount == 1


@pytest.mark.parametrize(("make", "column", "constraint"), REFERENCES)
def test_a_reference_to_nothing_is_refused(make, column, constraint, db_session):
    """A foreign key has to find its row."""
    row = make()

    with pytest.raises(IntegrityError, match=constraint):
        db_session.execute(update(type(row)).values({column: NOBODY}))


# --- unique ---------------------------------------------------------------------------------------


# --8<-- [start:unique]
def test_a_path_belongs_to_one_project(db_session):
    """The database refuses the second project of a path; the first one stays."""
    ProjectFactory(path="/srv/one")
    db_session.commit()

    with pytest.raises(IntegrityError, match="uq_projects_path"):
        ProjectFactory(path="/srv/one")
    db_session.rollback()
    assert db_session.scalar(select(func.count(Project.id))) == 1


# --8<-- [end:unique]


def test_a_uuid_belongs_to_one_agent():
    """Also in another project: a session is in one place at a time."""
    agent = AgentFactory()

    with pytest.raises(IntegrityError, match="ix_agents_session_uuid"):
        AgentFactory(session_uuid=agent.session_uuid)


def test_two_projects_may_have_the_same_name(db_connection):
    """A project's path is its identity, its name is not."""
    ProjectFactory.create_batch(2, name="headspace")

    assert db_connection.scalar(select(func.count(Project.id))) == 2


# --8<-- [start:partial_index]
def test_an_objective_has_one_open_wording():
    """The partial unique index takes one row without an end for each objective."""
    history = ObjectiveHistoryFactory()

    with pytest.raises(IntegrityError, match="uq_objective_histories_open"):
        ObjectiveHistoryFactory(objective=history.objective)


# --8<-- [end:partial_index]


def test_an_objective_has_any_number_of_closed_wordings(db_connection):
    """Rows with an end are outside of the partial index."""
    objective = ObjectiveFactory()
    ObjectiveHistoryFactory.create_batch(2, objective=objective, started_at=NOON, ended_at=NOON)
    ObjectiveHistoryFactory(objective=objective)

    assert db_connection.scalar(select(func.count(ObjectiveHistory.id))) == 3


def test_each_objective_has_an_open_wording_of_its_own(db_connection):
    """The index is per objective, not for all of them together."""
    ObjectiveHistoryFactory.create_batch(2)

    assert db_connection.scalar(select(func.count(ObjectiveHistory.id))) == 2


# --- enums ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "statement", "enum"),
    [
        (TaskFactory, "UPDATE tasks SET state = 'paused'", "taskstate"),
        (TurnFactory, "UPDATE turns SET actor = 'manager'", "turnactor"),
        (TurnFactory, "UPDATE turns SET intent = 'gossip'", "turnintent"),
    ],
)
def test_a_word_outside_of_the_vocabulary_is_refused(make, statement, enum, db_connection):
    """The enum is PostgreSQL's own, so raw SQL can't get around it."""
    make()

    with pytest.raises(DataError, match=f"invalid input value for enum {enum}"):
        db_connection.execute(text(statement))


@pytest.mark.parametrize(
    ("enum", "vocabulary"),
    [("taskstate", TaskState), ("turnactor", TurnActor), ("turnintent", TurnIntent)],
)
def test_an_enum_has_the_words_of_its_vocabulary(enum, vocabulary, db_connection):
    """The migrations made the same words as Python has, in the same order."""
    words = db_connection.scalar(text(f"SELECT enum_range(null::{enum})::text[]"))

    assert words == [member.value for member in vocabulary]


@pytest.mark.parametrize("intent", TurnIntent)
def test_every_intent_is_stored_as_its_word(intent, db_connection):
    """What stands in the table is the word itself, not the name of a Python member."""
    TurnFactory(intent=intent)

    assert db_connection.scalar(text("SELECT intent::text FROM turns")) == intent.value


def test_a_task_is_idle_unless_something_else_is_said(db_session):
    """The model's own default."""
    task = Task(agent=AgentFactory())
    db_session.add(task)
    db_session.commit()

    assert task.state is TaskState.IDLE


# --- checks ---------------------------------------------------------------------------------------


# --8<-- [start:check]
def test_a_complete_task_has_been_completed_at_some_time():
    """The check constraint refuses the one without the other."""
    with pytest.raises(IntegrityError, match="ck_tasks_completed_at_set_when_complete"):
        TaskFactory(state=TaskState.COMPLETE, completed_at=None)


# --8<-- [end:check]


@pytest.mark.parametrize("state", [state for state in TaskState if state != TaskState.COMPLETE])
def test_a_task_that_goes_on_has_no_completion_time(state):
    """The same constraint, from the other side, for every state but one."""
    with pytest.raises(IntegrityError, match="ck_tasks_completed_at_set_when_complete"):
        TaskFactory(state=state, started_at=NOON, completed_at=NOON)


@pytest.mark.parametrize(
    ("make", "column", "constraint"),
    [
        (
            partial(TaskFactory, is_complete=True),
            "completed_at",
            "ck_tasks_completed_not_before_started",
        ),
        (AgentFactory, "ended_at", "ck_agents_ended_not_before_started"),
        (ObjectiveHistoryFactory, "ended_at", "ck_objective_histories_ended_not_before_started"),
    ],
)
def test_nothing_ends_before_it_started(make, column, constraint, db_session):
    """One second is too much, and no time in between is not a negative time."""
    row = make(started_at=NOON)
    db_session.execute(update(type(row)).values({column: NOON}))

    with pytest.raises(IntegrityError, match=constraint):
        db_session.execute(update(type(row)).values({column: BEFORE_NOON}))


# --- what a deletion takes along ------------------------------------------------------------------


# --8<-- [start:cascade]
def test_a_deleted_project_takes_everything_in_it_along(db_connection):
    """The database deletes agents, tasks and turns; the other project keeps its own."""
    turn = TurnFactory()
    kept = TurnFactory()
    db_connection.execute(delete(Project).where(Project.id == turn.task.agent.project_id))

    assert db_connection.scalars(select(Agent.id)).all() == [kept.task.agent_id]
    assert db_connection.scalars(select(Task.id)).all() == [kept.task_id]
    assert db_connection.scalars(select(Turn.id)).all() == [kept.id]


# --8<-- [end:cascade]


def test_a_deleted_objective_takes_its_history_along(db_connection):
    """The database deletes every wording of the objective."""
    ObjectiveHistoryFactory()
    db_connection.execute(delete(Objective))

    assert db_connection.scalar(select(func.count(ObjectiveHistory.id))) == 0


# --8<-- [start:set_null]
@pytest.mark.parametrize(
    ("deleted", "left"),
    [
        (Turn, (True, True, True, False)),
        (Task, (True, True, False, False)),
        (Agent, (True, False, False, False)),
        (Project, (False, False, False, False)),
    ],
)
def test_an_event_outlives_what_it_refers_to(deleted, left, db_connection):
    """The references to what is gone become null, and the event stays."""
    turn = TurnFactory()
    EventFactory(turn=turn, task=turn.task, agent=turn.task.agent)
    db_connection.execute(delete(deleted))

    references = select(
        Event.project_id.is_not(None),
        Event.agent_id.is_not(None),
        Event.task_id.is_not(None),
        Event.turn_id.is_not(None),
    )
    assert db_connection.execute(references).one() == left


# --8<-- [end:set_null]


def test_an_agent_taken_out_of_its_project_is_deleted(db_session):
    """An orphan is deleted, and everything in it with it."""
    turn = TurnFactory()
    project = turn.task.agent.project
    project.agents.remove(turn.task.agent)
    db_session.commit()

    assert db_session.scalar(select(func.count(Agent.id))) == 0
    assert db_session.scalar(select(func.count(Turn.id))) == 0
    assert db_session.scalar(select(func.count(Project.id))) == 1


def test_a_project_deleted_by_the_session_takes_everything_along(db_session):
    """The session leaves the children to the database: one DELETE, whatever there is."""
    turn = TurnFactory()
    db_session.delete(turn.task.agent.project)
    db_session.commit()

    assert db_session.scalar(select(func.count(Turn.id))) == 0


# --- relationships --------------------------------------------------------------------------------


def test_tasks_come_newest_first(db_session):
    """An agent's tasks are read in the order in which they matter."""
    agent = AgentFactory()
    older = TaskFactory(agent=agent, started_at=BEFORE_NOON)
    newer = TaskFactory(agent=agent, started_at=NOON)
    db_session.expire_all()

    assert agent.tasks == [newer, older]


def test_turns_come_oldest_first(db_session):
    """A task's turns are read as they were said."""
    task = TaskFactory()
    later = TurnFactory(task=task, timestamp=NOON)
    earlier = TurnFactory(task=task, timestamp=BEFORE_NOON)
    db_session.expire_all()

    assert task.turns == [earlier, later]


def test_wordings_come_newest_first(db_session):
    """An objective's history begins with what holds at present."""
    objective = ObjectiveFactory()
    former = ObjectiveHistoryFactory(objective=objective, started_at=BEFORE_NOON, ended_at=NOON)
    present = ObjectiveHistoryFactory(objective=objective, started_at=NOON)
    db_session.expire_all()

    assert objective.history == [present, former]


def test_no_payload_is_null_and_not_the_json_value(db_connection):
    """An event without a payload is found by IS NULL."""
    EventFactory(payload=None)

    assert db_connection.scalar(select(func.count(Event.id)).where(Event.payload.is_(None))) == 1


def test_times_are_read_with_their_offset(db_connection):
    """Whatever the time zone of the connection is, a time means the same moment."""
    ProjectFactory(created_at=NOON)
    db_connection.execute(text("SET TIME ZONE 'Asia/Tokyo'"))

    read = db_connection.scalar(select(Project.created_at))
    assert read.utcoffset() == timedelta(hours=9)
    assert read == NOON
