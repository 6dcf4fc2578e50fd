"""Projects: registered by their path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Boolean, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from claude_headspace.domain.names import default_project_name, project_path
from claude_headspace.domain.states import TaskState
from claude_headspace.errors import Invalid, NotFound
from claude_headspace.models import Agent, Project
from claude_headspace.services.paging import Page

CHANGEABLE = frozenset({"name", "github_repo", "current_branch"})
"""What may be changed; a project's path is its identity."""


@dataclass(frozen=True)
class ProjectOverview:
    """A project and what its agents are doing."""

    project: Project
    agents: Mapping[TaskState, int]
    """How many of its agents that have not ended are in which state; states without any are left
    out."""


def register_project(
    session: Session,
    path: str,
    *,
    name: str | None = None,
    github_repo: str | None = None,
    current_branch: str | None = None,
) -> tuple[Project, bool]:
    """Return the project at *path*, and whether it was made just now.

    A project that exists is returned as it is. When two register one path at once, the second waits
    for the first to commit and gets the first one's project.

    :raises Invalid: if the path is not absolute.
    """
    path = _checked_path(path)
    values = {
        "path": path,
        "name": name or default_project_name(path),
        "github_repo": github_repo,
        "current_branch": current_branch,
    }
    # DO NOTHING returns no row; DO UPDATE, which changes nothing here, returns and holds the one
    # that is there (PostgreSQL manual, INSERT). Only a row that was updated has a locker, xmax.
    statement = (
        insert(Project)
        .values(values)
        .on_conflict_do_update(index_elements=[Project.path], set_={"name": Project.name})
        .returning(Project, literal_column("projects.xmax = 0", Boolean))
    )
    project, is_new = session.execute(statement).one()
    return project, is_new


def get_project(session: Session, project_id: int) -> Project:
    """Return the project, or raise :class:`NotFound`."""
    project = session.get(Project, project_id)
    if project is None:
        raise NotFound(f"there is no project {project_id}")
    return project


def list_projects(session: Session, page: Page = Page()) -> list[ProjectOverview]:
    """Return the projects in the order of their names, each with its agents by state.

    One statement, however many projects, agents and tasks there are.
    """
    per_state = (
        select(Agent.project_id, Agent.state.label("state"), func.count().label("agents"))
        .where(Agent.ended_at.is_(None))
        .group_by(Agent.project_id, "state")
        .subquery()
    )
    per_project = (
        select(
            per_state.c.project_id,
            func.jsonb_object_agg(per_state.c.state, per_state.c.agents).label("agents"),
        )
        .group_by(per_state.c.project_id)
        .subquery()
    )
    statement = (
        select(Project, per_project.c.agents)
        .outerjoin(per_project, per_project.c.project_id == Project.id)
        .order_by(Project.name, Project.id)
        .limit(page.limit)
        .offset(page.offset)
    )
    return [
        ProjectOverview(project, {TaskState(state): n for state, n in (agents or {}).items()})
        for project, agents in session.execute(statement)
    ]


def agents_by_state(session: Session, project_id: int) -> Mapping[TaskState, int]:
    """Return how many of the project's agents that have not ended are in which state."""
    statement = (
        select(Agent.state.label("state"), func.count())
        .where(Agent.project_id == project_id, Agent.ended_at.is_(None))
        .group_by("state")
    )
    return {TaskState(state): count for state, count in session.execute(statement)}


def update_project(session: Session, project_id: int, changes: Mapping[str, str | None]) -> Project:
    """Change the project's name, repository or branch, and return it."""
    unknown = changes.keys() - CHANGEABLE
    if unknown:
        raise Invalid(dict.fromkeys(sorted(unknown), "can't be changed"))
    project = get_project(session, project_id)
    for key, value in changes.items():
        setattr(project, key, value)
    session.flush()
    return project


def delete_project(session: Session, project_id: int) -> None:
    """Delete the project with its agents, their tasks and turns; its events stay."""
    session.delete(get_project(session, project_id))
    session.flush()


def _checked_path(path: str) -> str:
    try:
        return project_path(path)
    except ValueError as error:
        raise Invalid({"path": str(error)}) from error
