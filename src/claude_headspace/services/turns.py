"""Turns: what was said, and what it did to the task.

:func:`process_turn` is the heart of the application. In the caller's one transaction it locks the
agent and its current task, finds out what the turn means, asks the state machine, and writes turn,
task and ``state_transition`` event together or not at all.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from claude_headspace.clock import now
from claude_headspace.domain.intent import MATCHED, DetectedIntent, detect_intent
from claude_headspace.domain.payloads import EventType
from claude_headspace.domain.states import TaskState, TurnActor, TurnIntent
from claude_headspace.domain.transitions import Outcome, Transition, transition
from claude_headspace.errors import Conflict, NotFound
from claude_headspace.models import Agent, Task, Turn
from claude_headspace.services.agents import lock_agent
from claude_headspace.services.event_writer import NewEvent, write_event
from claude_headspace.services.paging import Page
from claude_headspace.services.tasks import lock_current_task

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TurnResult:
    """What became of a turn."""

    detected: DetectedIntent
    """What the turn means."""
    transition: Transition
    """What it did to its task, or why it did nothing."""
    task: Task | None
    """The task it belongs to; for an invalid turn the one it did not fit, None without one."""
    turn: Turn | None
    """The turn as it is stored, None if it was invalid."""

    @property
    def is_stored(self) -> bool:
        """Whether the turn was valid and is stored."""
        return self.turn is not None


def process_turn(
    session: Session,
    session_uuid: UUID,
    actor: TurnActor,
    text: str,
    *,
    intent: TurnIntent | None = None,
    at: datetime | None = None,
) -> TurnResult:
    """Store a turn and move its task, or say why not.

    The agent's newest task that is not complete takes the turn; without one the turn is one of an
    idle task, which is made only if the turn is valid. A user's command while the task awaits input
    starts a new task and leaves the old one waiting: once the new one is complete, the agent waits
    again. An invalid turn writes nothing but a warning in the log.

    *intent* is for callers that know it, a hook for one; else it is detected from the text.

    Two turns of one agent that arrive at once are processed one after the other: the agent's row is
    locked, also when it has no task to lock, and the second sees what the first committed.

    :raises NotFound: if there is no such agent.
    :raises Conflict: if the agent has ended.
    """
    agent = lock_agent(session, session_uuid)
    if agent.ended_at is not None:
        raise Conflict(f"agent {session_uuid} has ended")
    task = lock_current_task(session, agent.id)
    state = TaskState.IDLE if task is None else task.state
    detected = _intent(text, actor, state, intent)
    verdict = transition(state, actor, detected.intent)
    if not verdict.is_valid:
        _log.warning("turn of agent %s ignored: %s", session_uuid, verdict.reason)
        return TurnResult(detected, verdict, task, None)
    at = at or now()
    move = verdict
    if task is None or verdict.outcome is Outcome.STARTS_NEW_TASK:
        task = Task(agent=agent, state=TaskState.IDLE, started_at=at)
        move = transition(TaskState.IDLE, actor, detected.intent)
    turn = Turn(task=task, actor=actor, intent=detected.intent, text=text, timestamp=at)
    session.add_all([task, turn])
    _move(task, move.to_state, at)
    session.flush()
    _write_transition(session, agent, turn, move, detected.confidence)
    return TurnResult(detected, verdict, task, turn)


def get_turn(session: Session, turn_id: int) -> Turn:
    """Return the turn, or raise :class:`NotFound`."""
    turn = session.get(Turn, turn_id)
    if turn is None:
        raise NotFound(f"there is no turn {turn_id}")
    return turn


def list_turns(session: Session, *, task_id: int | None = None, page: Page = Page()) -> list[Turn]:
    """Return turns, the oldest first."""
    statement = select(Turn)
    if task_id is not None:
        statement = statement.where(Turn.task_id == task_id)
    statement = statement.order_by(Turn.timestamp, Turn.id)
    return list(session.scalars(statement.limit(page.limit).offset(page.offset)))


def _intent(
    text: str, actor: TurnActor, state: TaskState, known: TurnIntent | None
) -> DetectedIntent:
    if known is not None:
        return DetectedIntent(known, MATCHED, "given by the caller")
    return detect_intent(text, actor, state)


def _move(task: Task, to_state: TaskState, at: datetime) -> None:
    task.state = to_state
    if to_state is TaskState.COMPLETE:
        # A clock that was set back must not complete a task before it began.
        task.completed_at = max(at, task.started_at)


def _write_transition(
    session: Session, agent: Agent, turn: Turn, move: Transition, confidence: float
) -> None:
    write_event(
        session,
        NewEvent(
            EventType.STATE_TRANSITION,
            {
                "from_state": move.from_state,
                "to_state": move.to_state,
                "trigger": f"{turn.actor}:{turn.intent}",
                "confidence": confidence,
            },
            project_id=agent.project_id,
            agent_id=agent.id,
            task_id=turn.task_id,
            turn_id=turn.id,
            timestamp=turn.timestamp,
        ),
    )
