"""The whole chain, from the project to what was said, written and read back."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select

from claude_headspace.domain.states import TaskState, TurnActor, TurnIntent
from claude_headspace.models import Agent, Event, Project, Task, Turn

SESSION = UUID("5ca1ab1e-0000-4000-8000-000000000000")
NINE = datetime(2026, 3, 4, 9, tzinfo=UTC)
FIVE_PAST = datetime(2026, 3, 4, 9, 5, tzinfo=UTC)
TEN_PAST = datetime(2026, 3, 4, 9, 10, tzinfo=UTC)


# --8<-- [start:first_test]
def test_a_committed_project_is_read_back(db_session, pg):
    """A committed row is there for the rest of its test, and for nobody outside."""
    db_session.add(Project(name="headspace", path="/srv/headspace"))
    db_session.commit()

    assert db_session.scalar(select(Project.path)) == "/srv/headspace"
    assert pg.outside("select count(*) from projects") == 0


# --8<-- [end:first_test]


# --8<-- [start:chain]
def test_the_chain_is_read_back_field_by_field(db_session, fresh_session):
    """Project, agent, task, turns and event come back as they were written, and find each other."""
    project = Project(
        name="headspace",
        path="/srv/headspace",
        github_repo="https://github.com/dev/headspace",
        current_branch="main",
        created_at=NINE,
    )
    agent = Agent(
        project=project,
        session_uuid=SESSION,
        claude_session_id="abc",
        iterm_pane_id="w0t1p2",
        started_at=NINE,
        last_seen_at=TEN_PAST,
    )
    task = Task(agent=agent, state=TaskState.COMPLETE, started_at=NINE, completed_at=TEN_PAST)
    command = Turn(
        task=task,
        actor=TurnActor.USER,
        intent=TurnIntent.COMMAND,
        text="Write the tests",
        timestamp=FIVE_PAST,
    )
    completion = Turn(
        task=task,
        actor=TurnActor.AGENT,
        intent=TurnIntent.COMPLETION,
        text="Done.",
        timestamp=TEN_PAST,
    )
    event = Event(
        project=project,
        agent=agent,
        task=task,
        turn=completion,
        event_type="state_transition",
        payload={"from_state": "commanded", "to_state": "complete", "trigger": "agent:completion"},
        timestamp=TEN_PAST,
    )
    db_session.add_all([project, agent, task, command, completion, event])
    db_session.commit()

    read = fresh_session.scalars(select(Event)).one()
    assert read.event_type == "state_transition"
    assert read.payload == {
        "from_state": "commanded",
        "to_state": "complete",
        "trigger": "agent:completion",
    }
    assert read.timestamp == TEN_PAST

    assert read.project.name == "headspace"
    assert read.project.path == "/srv/headspace"
    assert read.project.github_repo == "https://github.com/dev/headspace"
    assert read.project.current_branch == "main"
    assert read.project.created_at == NINE
    assert read.project.agents == [read.agent]

    assert read.agent.project is read.project
    assert read.agent.session_uuid == SESSION
    assert read.agent.claude_session_id == "abc"
    assert read.agent.iterm_pane_id == "w0t1p2"
    assert read.agent.started_at == NINE
    assert read.agent.last_seen_at == TEN_PAST
    assert read.agent.ended_at is None
    assert read.agent.name == "headspace/5ca1ab1e"
    assert read.agent.state is TaskState.IDLE
    assert read.agent.tasks == [read.task]

    assert read.task.agent is read.agent
    assert read.task.state is TaskState.COMPLETE
    assert read.task.started_at == NINE
    assert read.task.completed_at == TEN_PAST

    first, last = read.task.turns
    assert (first.actor, first.intent) == (TurnActor.USER, TurnIntent.COMMAND)
    assert (first.text, first.timestamp) == ("Write the tests", FIVE_PAST)
    assert (last.actor, last.intent) == (TurnActor.AGENT, TurnIntent.COMPLETION)
    assert (last.text, last.timestamp) == ("Done.", TEN_PAST)
    assert read.turn is last


# --8<-- [end:chain]


def say(client, actor, text):
    """Deliver a turn of the agent."""
    turn = {"session_uuid": str(SESSION), "actor": actor, "text": text}
    return client.post("/api/turns", json=turn)


# --8<-- [start:story]
def test_the_chain_grows_request_by_request(client, fresh_session):
    """The same story told through the API ends in the same rows."""
    client.post("/api/agents", json={"session_uuid": str(SESSION), "project_path": "/srv/one"})
    say(client, "user", "Write the tests")
    say(client, "agent", "I am reading the models.")
    say(client, "agent", "Which database?")
    say(client, "user", "PostgreSQL")
    say(client, "agent", "All tests pass, the task is complete.")

    task = fresh_session.scalars(select(Task)).one()
    assert task.state is TaskState.COMPLETE
    assert task.completed_at == task.turns[-1].timestamp
    assert [turn.intent.value for turn in task.turns] == [
        "command",
        "progress",
        "question",
        "answer",
        "completion",
    ]


# --8<-- [end:story]


def test_every_move_of_the_story_is_an_event(client, fresh_session):
    """The audit log names the states in their order, each with its task."""
    client.post("/api/agents", json={"session_uuid": str(SESSION), "project_path": "/srv/one"})
    say(client, "user", "Write the tests")
    say(client, "agent", "Which database?")
    say(client, "user", "PostgreSQL")

    moves = select(Event.payload["to_state"].astext).where(Event.task_id.is_not(None))
    assert fresh_session.scalars(moves.order_by(Event.id)).all() == [
        "commanded",
        "awaiting_input",
        "processing",
    ]
