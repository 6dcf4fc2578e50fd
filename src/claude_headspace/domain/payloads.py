"""What each type of event must and may carry.

A type with listed keys takes exactly these: the required ones, the optional ones and no others, so
that a misspelt key is found when it is written and not when a report misses it. A type without
listed keys takes any JSON object, or none at all.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from claude_headspace.domain.states import TaskState, TurnActor
from claude_headspace.errors import Invalid

Payload = Mapping[str, object]
"""What an event carries: an object of JSON values."""
Check = Callable[[object], str | None]
"""Say what is wrong with a value, or None."""

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class EventType(StrEnum):
    """What happened."""

    SESSION_DISCOVERED = "session_discovered"
    SESSION_ENDED = "session_ended"
    TURN_DETECTED = "turn_detected"
    STATE_TRANSITION = "state_transition"
    OBJECTIVE_CHANGED = "objective_changed"
    NOTIFICATION_SENT = "notification_sent"
    HOOK_RECEIVED = "hook_received"


@dataclass(frozen=True)
class PayloadRule:
    """The keys of one type of event, each with the check of its value."""

    required: Mapping[str, Check] = field(default_factory=dict)
    optional: Mapping[str, Check] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether any key is allowed."""
        return not self.required and not self.optional


def validated_payload(event_type: str, payload: Payload | None) -> dict[str, object] | None:
    """Return *payload* as it may be written for *event_type*.

    None stays None for the types that need no payload.

    :raises Invalid: naming every key that is missing, unknown or has a wrong value.
    """
    rule = PAYLOADS[_known_type(event_type)]
    if payload is None and rule.is_open:
        return None
    given = {} if payload is None else dict(payload)
    wrong = _wrong_keys(given, rule) | _wrong_values(given, rule)
    if not wrong:
        wrong = _not_json(given)
    if wrong:
        raise Invalid(wrong)
    return given


def _known_type(event_type: str) -> EventType:
    try:
        return EventType(event_type)
    except ValueError:
        known = ", ".join(EventType)
        raise Invalid({"event_type": f"{event_type!r} is none of {known}"}) from None


def _wrong_keys(given: Payload, rule: PayloadRule) -> dict[str, str]:
    wrong = {f"payload.{key}": "is required" for key in rule.required if key not in given}
    if rule.is_open:
        return wrong
    known = [*rule.required, *rule.optional]
    for key in given:
        if key not in known:
            nearest = get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            wrong[f"payload.{key}"] = f"is not a key of this event{hint}"
    return wrong


def _wrong_values(given: Payload, rule: PayloadRule) -> dict[str, str]:
    found = (
        (f"payload.{key}", check(given[key]))
        for key, check in {**rule.required, **rule.optional}.items()
        if key in given
    )
    return {key: why for key, why in found if why is not None}


def _not_json(given: Payload) -> dict[str, str]:
    """PostgreSQL's jsonb takes no NaN, no NUL character and no half of a surrogate pair."""
    try:
        written = json.dumps(given, allow_nan=False, ensure_ascii=False)
        written.encode()
    except (TypeError, ValueError) as error:
        return {"payload": f"is not JSON: {error}"}
    if _NUL.search(written):
        return {"payload": "must not contain the NUL character"}
    return {}


def _text(value: object) -> str | None:
    return None if isinstance(value, str) else "must be a string"


def _filled(value: object) -> str | None:
    return None if isinstance(value, str) and value.strip() else "must be a string, not empty"


def _uuid(value: object) -> str | None:
    try:
        UUID(value if isinstance(value, str) else "")
    except ValueError:
        return "must be a UUID"
    return None


def _moment(value: object) -> str | None:
    try:
        at = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        return "must be a time in ISO 8601 with its offset from UTC"
    return None


def _seconds(value: object) -> str | None:
    number = _number(value)
    return None if number is not None and number >= 0 else "must be seconds, 0 or more"


def _share(value: object) -> str | None:
    number = _number(value)
    return None if number is not None and number <= 1 and number >= 0 else "must be from 0 to 1"


def _number(value: object) -> float | None:
    """Return a finite number; in Python, unlike JSON, true is one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def _one_of(vocabulary: type[StrEnum]) -> Check:
    def check(value: object) -> str | None:
        if value in list(vocabulary):
            return None
        return f"must be one of {', '.join(vocabulary)}"

    return check


PAYLOADS: Mapping[EventType, PayloadRule] = MappingProxyType(
    {
        EventType.SESSION_DISCOVERED: PayloadRule(
            required={
                "session_uuid": _uuid,
                "project_path": _filled,
                "working_directory": _filled,
            },
            optional={"iterm_pane_id": _filled},
        ),
        EventType.SESSION_ENDED: PayloadRule(
            required={"session_uuid": _uuid, "reason": _filled},
            optional={"duration_seconds": _seconds},
        ),
        EventType.TURN_DETECTED: PayloadRule(
            required={
                "session_uuid": _uuid,
                "actor": _one_of(TurnActor),
                "text": _text,
                "source": _filled,
                "turn_timestamp": _moment,
            },
        ),
        EventType.STATE_TRANSITION: PayloadRule(
            required={
                "from_state": _one_of(TaskState),
                "to_state": _one_of(TaskState),
                "trigger": _filled,
            },
            optional={"confidence": _share},
        ),
        EventType.OBJECTIVE_CHANGED: PayloadRule(),
        EventType.NOTIFICATION_SENT: PayloadRule(),
        EventType.HOOK_RECEIVED: PayloadRule(
            required={
                "hook_type": _filled,
                "claude_session_id": _filled,
                "working_directory": _filled,
            },
        ),
    }
)
"""The rule of every type of event."""
