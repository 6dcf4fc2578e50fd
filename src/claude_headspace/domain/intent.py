"""What a turn means, told from its text, its speaker and the task's state.

A user's turn is an answer while the task awaits input, else a command. An agent's turn is a
question (it ends with a question mark outside code, or asks to be told, confirmed or clarified),
else a completion (it says that it is done, finished or that changes were applied), else progress.
The phrases are data, in ``phrases.yaml`` beside this module.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from claude_headspace.domain.states import TaskState, TurnActor, TurnIntent

MATCHED = 1.0
"""Confidence of an intent that a rule or a phrase decided."""
BY_DEFAULT = 0.5
"""Confidence of an intent that is left when nothing matched."""

_FENCED_CODE = re.compile(
    r"^[ \t]*(`{3,}(?=[^`\n]*$)|~{3,}).*?(?:^[ \t]*\1[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_INLINE_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_WORD = re.compile(r"[\w']+")
_CLAUSE_END = re.compile(r"[.!?;:,\n]")
_CLOSERS = " \t\r\n\"'”’)]}*_>"
_NEAR = 3
"""How many words before a completion phrase may say that it is not there yet."""


@dataclass(frozen=True)
class DetectedIntent:
    """What a turn means, and how that was found out."""

    intent: TurnIntent
    confidence: float
    """1.0 if something matched, 0.5 if the intent is the default."""
    matched: str | None
    """The phrase or rule that decided, None for the default."""


@dataclass(frozen=True)
class Phrases:
    """The phrases of ``phrases.yaml``."""

    question: Sequence[str]
    courtesy: Sequence[str]
    completion: Sequence[str]
    not_yet: frozenset[str]


def detect_intent(text: str, actor: TurnActor, state: TaskState) -> DetectedIntent:
    """Say what *text*, spoken by *actor* while the task is in *state*, means."""
    if actor is TurnActor.USER:
        return _of_user(state)
    return _of_agent(text, _phrases())


def _of_user(state: TaskState) -> DetectedIntent:
    awaited = state is TaskState.AWAITING_INPUT
    intent = TurnIntent.ANSWER if awaited else TurnIntent.COMMAND
    return DetectedIntent(intent, MATCHED, f"user while {state}")


@cache
def _phrases() -> Phrases:
    source = files("claude_headspace.domain").joinpath("phrases.yaml").read_text("utf-8")
    data: dict[str, list[str]] = yaml.safe_load(source)
    return Phrases(
        question=_longest_first(data["question"]),
        courtesy=_longest_first(data["courtesy"]),
        completion=_longest_first(data["completion"]),
        not_yet=frozenset(data["not_yet"]),
    )


def _longest_first(phrases: list[str]) -> tuple[str, ...]:
    return tuple(sorted(phrases, key=len, reverse=True))


def _of_agent(text: str, phrases: Phrases) -> DetectedIntent:
    said = _normalised(_without_code(text))
    if said.rstrip(_CLOSERS).endswith("?"):
        return DetectedIntent(TurnIntent.QUESTION, MATCHED, "?")
    asked = _without_courtesies(said, phrases.courtesy)
    for phrase in phrases.question:
        if _pattern(phrase).search(asked):
            return DetectedIntent(TurnIntent.QUESTION, MATCHED, phrase)
    for phrase in phrases.completion:
        for found in _pattern(phrase).finditer(said):
            if not _is_not_yet(said[: found.start()], phrases.not_yet):
                return DetectedIntent(TurnIntent.COMPLETION, MATCHED, phrase)
    return DetectedIntent(TurnIntent.PROGRESS, BY_DEFAULT, None)


def _without_code(text: str) -> str:
    """Take out fenced blocks (an unclosed one reaches to the end) and inline code."""
    return _INLINE_CODE.sub(" code ", _FENCED_CODE.sub("\n", text))


def _normalised(text: str) -> str:
    return text.replace("’", "'").casefold()


def _without_courtesies(said: str, courtesies: Sequence[str]) -> str:
    for courtesy in courtesies:
        said = _pattern(courtesy).sub("", said)
    return said


@cache
def _pattern(phrase: str) -> re.Pattern[str]:
    words = r"\s+".join(re.escape(word) for word in phrase.split())
    return re.compile(rf"(?<![\w']){words}(?![\w'])")


def _is_not_yet(before: str, not_yet: frozenset[str]) -> bool:
    clause = _CLAUSE_END.split(before)[-1]
    return not not_yet.isdisjoint(_WORD.findall(clause)[-_NEAR:])
