"""The life cycle of a task: every state, actor and intent, against the table as it was agreed."""

from __future__ import annotations

from itertools import product

import pytest

from claude_headspace.domain.states import TaskState, TurnActor, TurnIntent
from claude_headspace.domain.transitions import Outcome, transition

# The agreed table, written out a second time: the code's own table is what is tested.
VALID = {
    ("idle", "user", "command"): "commanded",
    ("commanded", "agent", "progress"): "processing",
    ("commanded", "agent", "question"): "awaiting_input",
    ("commanded", "agent", "completion"): "complete",
    ("processing", "agent", "progress"): "processing",
    ("processing", "agent", "question"): "awaiting_input",
    ("processing", "agent", "completion"): "complete",
    ("awaiting_input", "user", "answer"): "processing",
}
NEW_TASK = ("awaiting_input", "user", "command")
EVERYTHING = list(product(map(str, TaskState), map(str, TurnActor), map(str, TurnIntent)))
INVALID = [turn for turn in EVERYTHING if turn not in VALID and turn != NEW_TASK]


def judged(turn):
    """Ask the state machine about a turn given by words."""
    state, actor, intent = turn
    return transition(TaskState(state), TurnActor(actor), TurnIntent(intent))


def test_every_combination_is_covered():
    """Of fifty turns eight move the task, one starts a new one, and the others are invalid."""
    assert len(EVERYTHING) == 50
    assert (len(VALID), len(INVALID)) == (8, 41)


@pytest.mark.parametrize("turn", VALID, ids="-".join)
def test_a_valid_turn_moves_the_task(turn):
    """A turn of the table moves the task to the state that the table says."""
    result = judged(turn)

    assert result.outcome is Outcome.MOVES
    assert (result.from_state, result.to_state) == (turn[0], VALID[turn])
    assert result.is_valid


@pytest.mark.parametrize("turn", INVALID, ids="-".join)
def test_an_invalid_turn_leaves_the_task_as_it_is(turn):
    """A turn that is not in the table changes no state, and the result says why."""
    result = judged(turn)

    assert result.outcome is Outcome.INVALID
    assert (result.from_state, result.to_state) == (turn[0], turn[0])
    assert not result.is_valid
    assert f"{turn[1]} {turn[2]}" in result.reason


def test_a_command_while_the_task_awaits_input_starts_a_new_task():
    """It is no transition: the task that waits goes on waiting."""
    result = judged(NEW_TASK)

    assert result.outcome is Outcome.STARTS_NEW_TASK
    assert result.to_state is TaskState.AWAITING_INPUT
    assert result.is_valid


@pytest.mark.parametrize("actor", TurnActor)
@pytest.mark.parametrize("intent", TurnIntent)
def test_complete_is_terminal(actor, intent):
    """Whatever is said, a complete task stays complete."""
    result = transition(TaskState.COMPLETE, actor, intent)

    assert result.outcome is Outcome.INVALID
    assert result.to_state is TaskState.COMPLETE
    assert "complete task takes no more turns" in result.reason


def test_the_reason_names_what_would_be_accepted():
    """Whoever reads the log learns which turns the task waits for."""
    result = judged(("commanded", "user", "answer"))

    assert result.reason == (
        "a task that is commanded accepts agent progress, agent question, agent completion, "
        "not user answer"
    )
