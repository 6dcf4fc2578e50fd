"""What a turn means, told from text, speaker and state."""

from __future__ import annotations

import pytest

from claude_headspace.domain.intent import DetectedIntent, detect_intent
from claude_headspace.domain.states import TaskState, TurnActor, TurnIntent


def of_agent(text):
    """Detect the intent of an agent that is at work."""
    return detect_intent(text, TurnActor.AGENT, TaskState.PROCESSING)


@pytest.mark.parametrize("text", ["yes", "Which one?", "I am done.", ""])
def test_a_user_answers_while_the_task_awaits_input(text):
    """Whatever a user says to a waiting task is the answer."""
    found = detect_intent(text, TurnActor.USER, TaskState.AWAITING_INPUT)

    assert found == DetectedIntent(TurnIntent.ANSWER, 1.0, "user while awaiting_input")


@pytest.mark.parametrize("state", [s for s in TaskState if s is not TaskState.AWAITING_INPUT])
def test_a_user_commands_otherwise(state):
    """In every other state what a user says is a command, a question included."""
    found = detect_intent("Can you fix the tests?", TurnActor.USER, state)

    assert found == DetectedIntent(TurnIntent.COMMAND, 1.0, f"user while {state}")


@pytest.mark.parametrize(
    "text",
    [
        "Shall I drop the table?",
        "I found two ways. Which one do you prefer?  \n",
        "Is it **this one?**",
        'Did you mean "main?"',
        "Shall I run this?\n\n```\nrm -r build\n```",
        "Shall I use `sed`?",
    ],
)
def test_a_question_mark_at_the_end_makes_a_question(text):
    """The text ends with a question mark once code, closing quotes and emphasis are taken away."""
    found = of_agent(text)

    assert found == DetectedIntent(TurnIntent.QUESTION, 1.0, "?")


@pytest.mark.parametrize(
    "text",
    [
        "I look at this now:\n```\nwhat?\n```",
        "I look at this now:\n~~~sh\nwhat?\n~~~\n",
        "The pattern is `a+?`",
        "The pattern is ``a`?``",
        "Here it comes:\n```python\nis_it_open?",
        "Why it failed? A typo. I look further.",
    ],
)
def test_a_question_mark_in_code_or_amid_the_text_makes_none(text):
    """Code does not count, be its fence unclosed or itself inline; nor does an earlier question."""
    assert of_agent(text).intent is TurnIntent.PROGRESS


@pytest.mark.parametrize(
    ("text", "matched"),
    [
        ("Please confirm that I may push.", "please confirm"),
        ("PLEASE   CONFIRM\nthat I may push.", "please confirm"),
        ("Let me know which branch to use.", "let me know"),
        ("I need your input on the name.", "need your input"),
        ("Could you clarify the second point.", "could you clarify"),
        ("All tests are done. Tell me whether to deploy.", "tell me whether"),
    ],
)
def test_asking_to_be_told_confirmed_or_clarified_makes_a_question(text, matched):
    """A phrase of the list matches whatever its case and spacing, and goes before a completion."""
    assert of_agent(text) == DetectedIntent(TurnIntent.QUESTION, 1.0, matched)


def test_a_closing_courtesy_asks_for_nothing():
    """Offering help at the end is no question, so the completion before it counts."""
    found = of_agent("All done. Let me know if you need anything else!")

    assert found.intent is TurnIntent.COMPLETION


@pytest.mark.parametrize(
    ("text", "matched"),
    [
        ("Done.", "done"),
        ("I’m done with the refactoring.", "done"),
        ("The migration is finished", "finished"),
        ("I have applied the changes to `app.py`.", "applied the changes"),
        ("The changes were applied.", "changes were applied"),
        ("It did not work at first. Now it is done.", "done"),
    ],
)
def test_saying_that_it_is_done_makes_a_completion(text, matched):
    """An agent that says that it is done, finished or that changes were applied has completed."""
    assert of_agent(text) == DetectedIntent(TurnIntent.COMPLETION, 1.0, matched)


@pytest.mark.parametrize(
    "text",
    [
        "I am not done yet.",
        "The build hasn't finished.",
        "The build hasn’t finished.",
        "Once that is done I run the tests.",
        "It is almost finished.",
        "This will be done next.",
        "`done` is a keyword of the shell.",
        "I abandoned the first idea.",
    ],
)
def test_not_done_yet_is_progress(text):
    """Denied, conditional and quoted completions are none, nor is a part of another word."""
    assert of_agent(text) == DetectedIntent(TurnIntent.PROGRESS, 0.5, None)


@pytest.mark.parametrize("text", ["", "   \n", "I read the code now.", "```\ndone\n```"])
def test_everything_else_is_progress_by_default(text):
    """Nothing matched, so the confidence is a half and nothing is named."""
    assert of_agent(text) == DetectedIntent(TurnIntent.PROGRESS, 0.5, None)


@pytest.mark.parametrize("state", TaskState)
def test_the_state_does_not_change_what_an_agent_means(state):
    """Only a user's turn depends on the state."""
    found = detect_intent("Shall I go on?", TurnActor.AGENT, state)

    assert found.intent is TurnIntent.QUESTION
