"""The types of what comes from outside, each with the sentence that refuses a wrong value.

Pydantic checks. Its own sentences may change with its versions, so a type brings the one that its
clients read::

    Uuid = Annotated[UUID, says("must be a UUID")]
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from difflib import get_close_matches
from typing import Annotated
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from claude_headspace.domain.states import TaskState, TurnActor, TurnIntent

LARGEST_ID = 2**31 - 1
"""The largest value of an integer primary key (PostgreSQL manual, 8.1.1)."""


def says(sentence: str) -> WrapValidator:
    """Refuse with *sentence* whatever the type refuses."""

    def validate(value: object, handler: ValidatorFunctionWrapHandler) -> object:
        try:
            return handler(value)
        except ValidationError:
            raise ValueError(sentence) from None

    return WrapValidator(validate)


def problems(
    error: ValidationError, known: Collection[str], unknown: str = "is not known here"
) -> dict[str, str]:
    """Return what is wrong with which field; one that is none of *known* may be misspelt."""
    found = {}
    for problem in error.errors():
        name = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            nearest = get_close_matches(name, known, n=1)
            found[name] = unknown + "".join(f"; did you mean {near}?" for near in nearest)
        elif problem["type"] == "missing" or problem["input"] is None:
            found[name] = "is required"
        else:
            found[name] = problem["msg"].removeprefix("Value error, ")
    return found


def storable(text: str) -> str:
    """PostgreSQL's text takes neither NUL (manual, 8.3) nor what UTF-8 can't encode."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("must be text without NUL characters and lone surrogates")
    return text


def filled(text: str) -> str:
    """White space alone says nothing."""
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def written(moment: object) -> datetime:
    """Numbers are times to Pydantic, and to nobody who reads them."""
    return datetime.fromisoformat(moment if isinstance(moment, str) else "")


Text = Annotated[str, says("must be a string"), AfterValidator(storable)]
Filled = Annotated[Text, AfterValidator(filled)]
Uuid = Annotated[UUID, says("must be a UUID")]
Id = Annotated[
    int,
    Field(strict=True, ge=1, le=LARGEST_ID),
    says(f"must be a whole number from 1 to {LARGEST_ID}"),
]
Moment = Annotated[
    AwareDatetime,
    BeforeValidator(written),
    says("must be a time in ISO 8601 with its offset from UTC"),
]
State = Annotated[TaskState, says(f"must be one of {', '.join(TaskState)}")]
Actor = Annotated[TurnActor, says(f"must be one of {', '.join(TurnActor)}")]
Intent = Annotated[TurnIntent, says(f"must be one of {', '.join(TurnIntent)}")]
