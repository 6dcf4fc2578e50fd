"""Reports: computed by the database, one statement each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    case,
    cast,
    exists,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from claude_headspace.clock import now
from claude_headspace.domain.payloads import EventType
from claude_headspace.domain.states import TaskState, TurnActor
from claude_headspace.models import Agent, Event, Task, Turn
from claude_headspace.services.paging import Page


@dataclass(frozen=True)
class Scope:
    """What a report is about; None is everything."""

    project_id: int | None = None
    agent_id: int | None = None
    task_id: int | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions on a statement that selects from tasks and agents."""
        wanted = [
            (Agent.project_id, self.project_id),
            (Agent.id, self.agent_id),
            (Task.id, self.task_id),
        ]
        return [column == value for column, value in wanted if value is not None]


@dataclass(frozen=True)
class TaskTurns:
    """How much was said in one task."""

    task_id: int
    agent_id: int
    state: TaskState
    turns: int
    user_turns: int
    agent_turns: int
    first_turn_at: datetime | None
    last_turn_at: datetime | None


def turns_per_task(
    session: Session, scope: Scope = Scope(), page: Page = Page()
) -> list[TaskTurns]:
    """Return for each task how many turns it has and by whom, the newest task first.

    A task without turns is there, with zeros.
    """
    statement = (
        select(
            Task.id,
            Task.agent_id,
            Task.state,
            func.count(Turn.id),
            func.count(Turn.id).filter(Turn.actor == TurnActor.USER),
            func.count(Turn.id).filter(Turn.actor == TurnActor.AGENT),
            func.min(Turn.timestamp),
            func.max(Turn.timestamp),
        )
        .join(Task.agent)
        .outerjoin(Task.turns)
        .where(*scope.conditions())
        .group_by(Task.id)
        .order_by(Task.started_at.desc(), Task.id.desc())
        .limit(page.limit)
        .offset(page.offset)
    )
    return [TaskTurns(*row) for row in session.execute(statement)]


def time_per_state(
    session: Session, scope: Scope = Scope(), *, until: datetime | None = None
) -> Mapping[TaskState, timedelta]:
    """Return how long the tasks spent in each state that is not complete, all tasks together.

    A task enters a state with its ``state_transition`` event and leaves it with the next one, or at
    *until* (now), if it has not been completed before. A task without such events, a migrated one
    for instance, has been in its present state since it started.
    """
    entered = union_all(_starts(scope), _transitions(scope)).subquery()
    left = func.lead(entered.c.entered_at).over(
        partition_by=entered.c.task_id, order_by=(entered.c.entered_at, entered.c.event_id)
    )
    stays = select(
        entered.c.state,
        entered.c.entered_at,
        func.coalesce(left, entered.c.completed_at, until or now()).label("left_at"),
    ).subquery()
    spent = func.sum(func.greatest(stays.c.left_at - stays.c.entered_at, timedelta()))
    statement = (
        select(stays.c.state, spent)
        .where(stays.c.state != TaskState.COMPLETE.value)
        .group_by(stays.c.state)
    )
    times = {TaskState(state): time for state, time in session.execute(statement)}
    return {
        state: times.get(state, timedelta())
        for state in TaskState
        if state is not TaskState.COMPLETE
    }


def _starts(scope: Scope) -> Select[Any]:
    """Each task's first state, before all events: idle if there are any, else its present one."""
    has_events = exists().where(Event.task_id == Task.id, _is_transition())
    first = case((has_events, TaskState.IDLE.value), else_=cast(Task.state, String))
    return (
        select(
            Task.id.label("task_id"),
            literal(0).label("event_id"),
            Task.started_at.label("entered_at"),
            first.label("state"),
            Task.completed_at.label("completed_at"),
        )
        .join(Task.agent)
        .where(*scope.conditions())
    )


def _transitions(scope: Scope) -> Select[Any]:
    return (
        select(
            Task.id.label("task_id"),
            Event.id.label("event_id"),
            Event.timestamp.label("entered_at"),
            Event.payload["to_state"].astext.label("state"),
            Task.completed_at.label("completed_at"),
        )
        .join(Event, Event.task_id == Task.id)
        .join(Task.agent)
        .where(_is_transition(), *scope.conditions())
    )


def _is_transition() -> ColumnElement[bool]:
    return Event.event_type == EventType.STATE_TRANSITION.value
