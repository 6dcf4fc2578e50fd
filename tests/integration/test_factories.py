"""Each of the seven factories: what it makes is in the database, and its parents are too."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import func, inspect, select

from claude_headspace.domain.states import TaskState, TurnActor, TurnIntent
from claude_headspace.models import (
    Agent,
    Objective,
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

NINE = datetime(2026, 3, 4, 9, tzinfo=UTC)
TEN = datetime(2026, 3, 4, 10, tzinfo=UTC)
ELEVEN = datetime(2026, 3, 4, 11, tzinfo=UTC)

EVERY_FACTORY = [
    ProjectFactory,
    AgentFactory,
    TaskFactory,
    TurnFactory,
    EventFactory,
    ObjectiveFactory,
    ObjectiveHistoryFactory,
]


# --- written and read back ------------------------------------------------------------------------


# --8<-- [start:read_back]
def test_a_project_is_read_back(db_session, fresh_session):
    """A session that knows nothing of the factory's object reads the same values."""
    made = ProjectFactory(name="headspace", path="/srv/headspace", created_at=NINE)
    db_session.commit()
    read = fresh_session.get(Project, made.id)

    assert read is not made
    assert (read.name, read.path) == ("headspace", "/srv/headspace")
    assert (read.github_repo, read.current_branch) == ("https://github.com/dev/headspace", "main")
    assert read.created_at == NINE


# --8<-- [end:read_back]


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (
            AgentFactory,
            {
                "session_uuid": UUID("5ca1ab1e-0000-4000-8000-000000000000"),
                "claude_session_id": "abc",
                "iterm_pane_id": "w0t1p2",
                "started_at": NINE,
                "last_seen_at": TEN,
                "ended_at": ELEVEN,
            },
        ),
        (TaskFactory, {"state": TaskState.COMPLETE, "started_at": NINE, "completed_at": TEN}),
        (
            TurnFactory,
            {
                "actor": TurnActor.AGENT,
                "intent": TurnIntent.QUESTION,
                "text": "Soll ich? 🙂\n",
                "timestamp": NINE,
            },
        ),
        (
            EventFactory,
            {
                "event_type": "notification_sent",
                "payload": {"text": "Rückfrage", "nested": {"list": [1, 2.5, None, True]}},
                "timestamp": NINE,
            },
        ),
        (
            ObjectiveFactory,
            {"current_text": "Ship it", "constraints": "By Friday", "set_at": NINE, "history": []},
        ),
        (
            ObjectiveHistoryFactory,
            {
                "text": "Ship it",
                "constraints": "By Friday",
                "started_at": NINE,
                "ended_at": TEN,
            },
        ),
    ],
)
def test_what_a_factory_is_given_is_read_back(make, given, db_session, fresh_session):
    """UUIDs, times, JSON and the words of a vocabulary come back as what they are in Python."""
    made = make(**given)
    db_session.commit()
    read = fresh_session.get(type(made), made.id)

    assert read is not made
    assert {name: getattr(read, name) for name in given} == given


@pytest.mark.parametrize("make", EVERY_FACTORY)
def test_what_a_factory_makes_up_is_accepted(make, db_session, fresh_session):
    """Without a single argument a factory makes a row that the database takes, and commits."""
    made = make()
    db_session.commit()

    assert fresh_session.get(type(made), made.id) is not None


# --- parents --------------------------------------------------------------------------------------


# --8<-- [start:parents]
def test_a_turn_makes_its_parents(db_session, fresh_session):
    """One call makes the task, the agent and the project that a turn can't be without."""
    turn = TurnFactory(task__agent__project__name="headspace")
    db_session.commit()

    assert fresh_session.get(Turn, turn.id).task.agent.project.name == "headspace"
    assert fresh_session.scalar(select(func.count(Project.id))) == 1


# --8<-- [end:parents]


@pytest.mark.parametrize(
    ("make", "parent", "reference"),
    [
        (AgentFactory, Project, "project_id"),
        (TaskFactory, Agent, "agent_id"),
        (TurnFactory, Task, "task_id"),
        (ObjectiveHistoryFactory, Objective, "objective_id"),
    ],
)
def test_a_child_comes_with_exactly_one_parent(make, parent, reference, db_connection):
    """And refers to it."""
    child = make()

    assert db_connection.scalars(select(parent.id)).all() == [getattr(child, reference)]


def test_an_event_makes_an_agent_and_is_of_the_same_project(db_connection):
    """An event's project is its agent's, not another one."""
    event = EventFactory()

    assert db_connection.scalars(select(Agent.id)).all() == [event.agent_id]
    assert db_connection.scalars(select(Project.id)).all() == [event.project_id]


def test_a_history_row_makes_its_objective(db_connection):
    """A wording is that of the objective it comes with, since it was set."""
    history = ObjectiveHistoryFactory()

    made = db_connection.execute(select(Objective.id, Objective.current_text, Objective.set_at))
    assert made.all() == [(history.objective_id, history.text, history.started_at)]


# --8<-- [start:given_parent]
def test_a_given_parent_is_used(db_connection):
    """Children that are told their parent make no other."""
    project = ProjectFactory()
    AgentFactory.create_batch(3, project=project)

    assert db_connection.scalars(select(Agent.project_id)).all() == [project.id] * 3
    assert db_connection.scalar(select(func.count(Project.id))) == 1


# --8<-- [end:given_parent]


# --- unique values, batches, sessions -------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "column"), [(ProjectFactory, "path"), (AgentFactory, "session_uuid")]
)
def test_what_is_unique_never_repeats(make, column):
    """The database would refuse a value that is there already."""
    values = {getattr(each, column) for each in make.create_batch(10)}

    assert len(values) == 10


@pytest.mark.parametrize("test", ["one", "another"])
def test_sequences_begin_anew_in_every_test(test):
    """Whatever ran before, the first project of a test has the same path: a failure repeats."""
    assert ProjectFactory().path == "/srv/project-0"


@pytest.mark.parametrize("make", EVERY_FACTORY)
def test_a_batch_is_written(make, db_connection):
    """A batch of three is three rows, for every model."""
    made = make.create_batch(3)

    ids = db_connection.scalars(select(inspect(type(made[0])).columns.id))
    assert sorted(ids) == sorted(each.id for each in made)


# --8<-- [start:batch]
def test_a_batch_is_written_by_one_statement_for_each_table(pg):
    """Ten agents and their ten projects take two INSERTs."""
    with pg.counting() as queries:
        AgentFactory.create_batch(10)

    assert len(queries) == 2


# --8<-- [end:batch]


def test_a_complete_task_has_a_completion_time():
    """The trait sets both, as the database wants it."""
    task = TaskFactory(is_complete=True)

    assert task.state is TaskState.COMPLETE
    assert task.completed_at > task.started_at


def test_a_turn_of_progress_is_the_agents():
    """The trait sets who speaks and what it means."""
    turn = TurnFactory(is_progress=True)

    assert (turn.actor, turn.intent) == (TurnActor.AGENT, TurnIntent.PROGRESS)


def test_an_object_that_is_only_built_is_not_written(db_connection):
    """build() makes the object and its parents without the database."""
    turn = TurnFactory.build()

    assert turn.task.agent.project.path == "/srv/project-0"
    assert db_connection.scalar(select(func.count(Turn.id))) == 0


# --8<-- [start:session_of_one_call]
def test_one_call_writes_into_another_session(db_session, fresh_session):
    """A turn and its parents go where the call says, and the next call goes to db_session."""
    there = TurnFactory(_session=fresh_session)
    here = TurnFactory()

    assert there in fresh_session
    assert there.task.agent.project in fresh_session
    assert here in db_session


# --8<-- [end:session_of_one_call]
