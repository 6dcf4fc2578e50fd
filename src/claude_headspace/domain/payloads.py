"""What each type of event must and may carry.

A type with listed keys takes exactly these: the required ones, the optional ones and no others, so
that a misspelt key is found when it is written and not when a report misses it. A type without
listed keys takes any JSON object, or none at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # the one that Pydantic can read before Python 3.12

from claude_headspace.domain.validation import (
    Actor,
    Filled,
    Moment,
    State,
    Text,
    Uuid,
    problems,
    says,
)
from claude_headspace.errors import Invalid

Payload = Mapping[str, object]
"""What an event carries: an object of JSON values."""

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_exactly = with_config(ConfigDict(extra="forbid"))


class EventType(StrEnum):
    """What happened."""

    SESSION_DISCOVERED = "session_discovered"
    SESSION_ENDED = "session_ended"
    TURN_DETECTED = "turn_detected"
    STATE_TRANSITION = "state_transition"
    OBJECTIVE_CHANGED = "objective_changed"
    NOTIFICATION_SENT = "notification_sent"
    HOOK_RECEIVED = "hook_received"


@_exactly
class SessionDiscovered(TypedDict):
    """Where a session was found."""

    session_uuid: Uuid
    project_path: Filled
    working_directory: Filled
    iterm_pane_id: NotRequired[Filled]


@_exactly
class SessionEnded(TypedDict):
    """Why a session ended, and after how long."""

    session_uuid: Uuid
    reason: Filled
    duration_seconds: NotRequired[
        Annotated[
            float,
            Field(strict=True, ge=0, allow_inf_nan=False),
            says("must be seconds, 0 or more"),
        ]
    ]


@_exactly
class TurnDetected(TypedDict):
    """What was said, as it was found."""

    session_uuid: Uuid
    actor: Actor
    text: Text
    source: Filled
    turn_timestamp: Moment


@_exactly
class StateTransition(TypedDict):
    """From where to where a task went, and why."""

    from_state: State
    to_state: State
    trigger: Filled
    confidence: NotRequired[
        Annotated[float, Field(strict=True, ge=0, le=1), says("must be from 0 to 1")]
    ]


@_exactly
class HookReceived(TypedDict):
    """Which hook of a session called."""

    hook_type: Filled
    claude_session_id: Filled
    working_directory: Filled


_KEYS: Mapping[EventType, type] = {
    EventType.SESSION_DISCOVERED: SessionDiscovered,
    EventType.SESSION_ENDED: SessionEnded,
    EventType.TURN_DETECTED: TurnDetected,
    EventType.STATE_TRANSITION: StateTransition,
    EventType.HOOK_RECEIVED: HookReceived,
}
_CHECKS = {event_type: TypeAdapter[object](keys) for event_type, keys in _KEYS.items()}


def validated_payload(event_type: str, payload: Payload | None) -> dict[str, object] | None:
    """Return *payload* as it may be written for *event_type*.

    None stays None for the types that need no payload.

    :raises Invalid: naming every key that is missing, unknown or has a wrong value.
    """
    if event_type not in list(EventType):
        raise Invalid({"event_type": f"{event_type!r} is none of {', '.join(EventType)}"})
    keys = _KEYS.get(EventType(event_type))
    if payload is None and keys is None:
        return None
    given = dict(payload or {})
    if keys is not None:
        try:
            _CHECKS[EventType(event_type)].validate_python(given)
        except ValidationError as error:
            wrong = problems(error, keys.__annotations__, "is not a key of this event")
            raise Invalid({f"payload.{key}": why for key, why in wrong.items()}) from None
    _check_json(given)
    return given


def _check_json(given: Payload) -> None:
    """PostgreSQL's jsonb takes no NaN, no NUL character and no half of a surrogate pair."""
    try:
        written = json.dumps(given, allow_nan=False, ensure_ascii=False)
        written.encode()
    except (TypeError, ValueError) as error:
        raise Invalid({"payload": f"is not JSON: {error}"}) from None
    if _NUL.search(written):
        raise Invalid({"payload": "must not contain the NUL character"})
