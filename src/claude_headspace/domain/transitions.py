"""The life cycle of a task: which turn moves it where.

Eight transitions and one exception: a user's command while the task awaits input moves nothing, it
starts a new task. Every other turn is invalid and leaves the task as it is. Complete is terminal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from claude_headspace.domain.states import TaskState, TurnActor, TurnIntent

TRANSITIONS: Mapping[tuple[TaskState, TurnActor, TurnIntent], TaskState] = MappingProxyType(
    {
        (TaskState.IDLE, TurnActor.USER, TurnIntent.COMMAND): TaskState.COMMANDED,
        (TaskState.COMMANDED, TurnActor.AGENT, TurnIntent.PROGRESS): TaskState.PROCESSING,
        (TaskState.COMMANDED, TurnActor.AGENT, TurnIntent.QUESTION): TaskState.AWAITING_INPUT,
        (TaskState.COMMANDED, TurnActor.AGENT, TurnIntent.COMPLETION): TaskState.COMPLETE,
        (TaskState.PROCESSING, TurnActor.AGENT, TurnIntent.PROGRESS): TaskState.PROCESSING,
        (TaskState.PROCESSING, TurnActor.AGENT, TurnIntent.QUESTION): TaskState.AWAITING_INPUT,
        (TaskState.PROCESSING, TurnActor.AGENT, TurnIntent.COMPLETION): TaskState.COMPLETE,
        (TaskState.AWAITING_INPUT, TurnActor.USER, TurnIntent.ANSWER): TaskState.PROCESSING,
    }
)
"""Every valid transition; what is not here is not valid."""


class Outcome(Enum):
    """What a turn does."""

    MOVES = "moves"
    """The task goes to the next state, which may be the same one."""
    STARTS_NEW_TASK = "starts_new_task"
    """The task stays as it is; the turn is the command of a new one."""
    INVALID = "invalid"
    """The task stays as it is, and the turn is not stored."""


@dataclass(frozen=True)
class Transition:
    """What a turn does to a task, and why."""

    outcome: Outcome
    from_state: TaskState
    """Where the task stood."""
    to_state: TaskState
    """Where it stands afterwards; the same state unless the outcome is ``MOVES``."""
    reason: str
    """One sentence for a log or an API client."""

    @property
    def is_valid(self) -> bool:
        """Whether the turn may be stored."""
        return self.outcome is not Outcome.INVALID


def transition(state: TaskState, actor: TurnActor, intent: TurnIntent) -> Transition:
    """Say what a turn of *actor* that means *intent* does to a task in *state*."""
    to_state = TRANSITIONS.get((state, actor, intent))
    if to_state is not None:
        reason = f"{actor} {intent}: {state} -> {to_state}"
        return Transition(Outcome.MOVES, state, to_state, reason)
    if _is_new_command(state, actor, intent):
        reason = f"a {actor} {intent} while {state} starts a new task"
        return Transition(Outcome.STARTS_NEW_TASK, state, state, reason)
    return Transition(Outcome.INVALID, state, state, _why_not(state, actor, intent))


def _is_new_command(state: TaskState, actor: TurnActor, intent: TurnIntent) -> bool:
    return (
        state is TaskState.AWAITING_INPUT
        and actor is TurnActor.USER
        and intent is TurnIntent.COMMAND
    )


def _why_not(state: TaskState, actor: TurnActor, intent: TurnIntent) -> str:
    if state is TaskState.COMPLETE:
        return f"a complete task takes no more turns, and this is a {actor} {intent}"
    accepted = [f"{who} {what}" for (where, who, what) in TRANSITIONS if where is state]
    return f"a task that is {state} accepts {', '.join(accepted)}, not {actor} {intent}"
