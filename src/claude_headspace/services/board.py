"""The board: what each agent works on, by state, with what was said last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, cast, func, literal, null, or_, select, true, union_all
from sqlalchemy.orm import Session

from claude_headspace.clock import now
from claude_headspace.domain.names import agent_name
from claude_headspace.domain.states import TaskState, TurnActor
from claude_headspace.models import Agent, Objective, Project, Task, Turn

LONGEST_COLUMN = 20
"""Cards; of the others a column says how many there are."""
REMEMBERED = timedelta(days=1)
"""How long a task stays on the board once it is complete."""


@dataclass(frozen=True)
class Card:
    """A task, or an agent that has none at present."""

    agent: str
    path: str
    branch: str | None
    since: datetime
    """The time of its last turn; without one, of its start or of the agent's last sign of life."""
    actor: TurnActor | None
    """Who spoke last, None if nobody did."""
    text: str | None


@dataclass(frozen=True)
class Column:
    """The cards of one state, the newest first."""

    cards: tuple[Card, ...] = ()
    total: int = 0
    """How many there are with those that are not shown."""


@dataclass(frozen=True)
class Board:
    """What the dashboard shows."""

    objective: Objective | None
    """The one that was set last."""
    columns: Mapping[TaskState, Column]
    """Every state has one."""


def get_board(session: Session) -> Board:
    """Return the board, by two statements however many agents, tasks and turns there are.

    Whatever an agent left undone when it ended is not on it.
    """
    newest = select(Objective).order_by(Objective.set_at.desc(), Objective.id.desc()).limit(1)
    columns = dict.fromkeys(TaskState, Column())
    for row in session.execute(_ranked(union_all(_tasks(), _idle_agents()))):
        name = agent_name(row.project, row.session_uuid)
        card = Card(name, row.path, row.current_branch, row.since, row.actor, row.text)
        state = TaskState(row.state)
        columns[state] = Column((*columns[state].cards, card), row.total)
    return Board(session.scalars(newest).one_or_none(), columns)


def _tasks() -> Select[Any]:
    last = (
        select(Turn)
        .where(Turn.task_id == Task.id)
        .order_by(Turn.timestamp.desc(), Turn.id.desc())
        .limit(1)
        .lateral("last")
    )
    return (
        select(
            Project.name.label("project"),
            Agent.session_uuid,
            Project.path,
            Project.current_branch,
            Task.state.label("state"),
            func.coalesce(last.c.timestamp, Task.started_at).label("since"),
            last.c.actor,
            last.c.text,
        )
        .join(Task.agent)
        .join(Agent.project)
        .outerjoin(last, true())
        .where(or_(Task.completed_at >= now() - REMEMBERED, _is_open() & Agent.ended_at.is_(None)))
    )


def _idle_agents() -> Select[Any]:
    return (
        select(
            Project.name,
            Agent.session_uuid,
            Project.path,
            Project.current_branch,
            cast(literal("idle"), Task.state.type),
            Agent.last_seen_at,
            cast(null(), Turn.actor.type),
            null(),
        )
        .join(Agent.project)
        .where(Agent.ended_at.is_(None), ~Agent.tasks.any(_is_open()))
    )


def _is_open() -> Any:
    return Task.state != TaskState.COMPLETE


def _ranked(cards: Any) -> Select[Any]:
    every = cards.subquery()
    newest_first = every.c.since.desc(), every.c.session_uuid
    ranked = select(
        every,
        func.row_number().over(partition_by=every.c.state, order_by=newest_first).label("rank"),
        func.count().over(partition_by=every.c.state).label("total"),
    ).subquery()
    return select(ranked).where(ranked.c.rank <= LONGEST_COLUMN).order_by(ranked.c.rank)
