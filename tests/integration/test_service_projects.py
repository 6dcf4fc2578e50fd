"""Projects: registered by their path, listed with what their agents are doing."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from claude_headspace.domain.states import TaskState
from claude_headspace.errors import Invalid
from claude_headspace.models import Event, Project, Turn
from claude_headspace.services.projects import (
    agents_by_state,
    delete_project,
    list_projects,
    register_project,
    update_project,
)
from tests.integration.factories import (
    AgentFactory,
    EventFactory,
    ProjectFactory,
    TaskFactory,
    TurnFactory,
)

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
NOBODY = 2**31 - 1


# --- registering ----------------------------------------------------------------------------------


# --8<-- [start:service]
def test_a_new_path_is_a_new_project(db_session, fresh_session):
    """The service flushes, the caller commits, and another session reads it."""
    project, is_new = register_project(db_session, "/srv/one", current_branch="main")
    db_session.commit()
    read = fresh_session.get(Project, project.id)

    assert is_new
    assert (read.name, read.path, read.current_branch) == ("one", "/srv/one", "main")


# --8<-- [end:service]


def test_the_given_name_is_used(db_session, db_connection):
    """Only without one the last part of the path is the name."""
    register_project(db_session, "/srv/one", name="Headspace", github_repo="dev/headspace")

    names = select(Project.name, Project.github_repo)
    assert db_connection.execute(names).one() == ("Headspace", "dev/headspace")


def test_a_known_path_is_the_same_project(db_session, db_connection):
    """Registering twice returns the first project as it is, whatever else is said."""
    first, _ = register_project(db_session, "/srv/one", name="first")
    second, is_new = register_project(db_session, "/srv/one", name="second")

    assert not is_new
    assert second is first
    assert db_connection.scalars(select(Project.name)).all() == ["first"]


@pytest.mark.parametrize("spelling", ["/srv/one/", "/srv//one", "/srv/./one", "/srv/two/../one"])
def test_every_spelling_of_a_path_is_the_same_project(spelling, db_session):
    """The path is stored in one spelling."""
    project = ProjectFactory(path="/srv/one")

    assert register_project(db_session, spelling) == (project, False)


# --- reading --------------------------------------------------------------------------------------


def test_a_listed_project_counts_its_agents_by_state(db_session):
    """An agent counts with its newest task that is not complete, and idle without one."""
    project = ProjectFactory()
    AgentFactory(project=project)
    TaskFactory(agent__project=project, is_complete=True)
    TaskFactory(agent__project=project, state=TaskState.PROCESSING)
    ProjectFactory(name="project-without-agents")

    with_agents, without = list_projects(db_session)
    assert with_agents.agents == {TaskState.IDLE: 2, TaskState.PROCESSING: 1}
    assert without.agents == {}


def test_an_agent_that_has_ended_does_not_count(db_session):
    """What it was doing is of no interest any more."""
    agent = AgentFactory(started_at=NOON, ended_at=NOON)

    assert agents_by_state(db_session, agent.project_id) == {}
    assert list_projects(db_session)[0].agents == {}


def test_agents_of_one_project_are_counted_by_state(db_session):
    """Other projects' agents do not count."""
    task = TaskFactory(state=TaskState.AWAITING_INPUT)
    TaskFactory(state=TaskState.AWAITING_INPUT)

    counted = agents_by_state(db_session, task.agent.project_id)
    assert counted == {TaskState.AWAITING_INPUT: 1}


# --8<-- [start:counting]
def test_projects_are_listed_by_one_statement(db_session, pg):
    """However many projects, agents and tasks there are."""
    TaskFactory.create_batch(20)
    TaskFactory.create_batch(5, agent=AgentFactory())
    with pg.counting() as queries:
        list_projects(db_session)

    assert len(queries) == 1


# --8<-- [end:counting]


# --- changing, deleting ---------------------------------------------------------------------------


def test_a_path_can_not_be_changed(db_session):
    """A project's path is its identity."""
    project = ProjectFactory(path="/srv/one")

    with pytest.raises(Invalid, match="path: can't be changed"):
        update_project(db_session, project.id, {"path": "/srv/two"})
    assert project.path == "/srv/one"


def test_a_deleted_project_takes_everything_but_its_events_along(db_session, db_connection):
    """Agents, tasks and turns go with it; the audit log stays."""
    turn = TurnFactory()
    EventFactory(agent=turn.task.agent)
    delete_project(db_session, turn.task.agent.project_id)

    assert db_connection.scalar(select(func.count(Turn.id))) == 0
    assert db_connection.execute(select(Event.project_id, Event.agent_id)).all() == [(None, None)]
