"""The three vocabularies: where a task stands, who speaks, and what a turn means.

Each is an enum type of the database as well; the order of the members is the order of its values.
"""

from __future__ import annotations

from enum import StrEnum


class TaskState(StrEnum):
    """Where a task stands."""

    IDLE = "idle"
    COMMANDED = "commanded"
    PROCESSING = "processing"
    AWAITING_INPUT = "awaiting_input"
    COMPLETE = "complete"


class TurnActor(StrEnum):
    """Who speaks."""

    USER = "user"
    AGENT = "agent"


class TurnIntent(StrEnum):
    """What a turn means."""

    COMMAND = "command"
    ANSWER = "answer"
    QUESTION = "question"
    COMPLETION = "completion"
    PROGRESS = "progress"
