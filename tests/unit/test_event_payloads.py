"""What each type of event must and may carry."""

from __future__ import annotations

import pytest

from claude_headspace.domain.payloads import EventType, validated_payload
from claude_headspace.errors import Invalid

UUID = "5ca1ab1e-0000-4000-8000-000000000000"
COMPLETE = {
    "session_discovered": {
        "session_uuid": UUID,
        "project_path": "/srv/one",
        "working_directory": "/srv/one/src",
    },
    "session_ended": {"session_uuid": UUID, "reason": "closed"},
    "turn_detected": {
        "session_uuid": UUID,
        "actor": "user",
        "text": "",
        "source": "hook",
        "turn_timestamp": "2026-01-02T03:04:05+00:00",
    },
    "state_transition": {
        "from_state": "idle",
        "to_state": "commanded",
        "trigger": "user:command",
    },
    "hook_received": {
        "hook_type": "stop",
        "claude_session_id": "abc",
        "working_directory": "/srv/one",
    },
}
OPEN = ["objective_changed", "notification_sent"]
REQUIRED = [(event, key) for event, payload in COMPLETE.items() for key in payload]


def refused(event_type, payload):
    """Return which fields are wrong, and why."""
    with pytest.raises(Invalid) as caught:
        validated_payload(event_type, payload)
    return caught.value.fields


def test_every_type_is_covered():
    """Seven types: five with keys of their own, two without."""
    assert {*COMPLETE, *OPEN} == set(EventType)


@pytest.mark.parametrize("event_type", COMPLETE)
def test_the_required_keys_are_enough(event_type):
    """A payload with the required keys is returned as it is."""
    payload = COMPLETE[event_type]

    assert validated_payload(event_type, payload) == payload


@pytest.mark.parametrize(("event_type", "key"), REQUIRED, ids="-".join)
def test_a_missing_key_is_refused(event_type, key):
    """Each required key is required."""
    payload = {name: value for name, value in COMPLETE[event_type].items() if name != key}

    assert refused(event_type, payload) == {f"payload.{key}": "is required"}


@pytest.mark.parametrize("event_type", COMPLETE)
def test_no_payload_is_refused_where_keys_are_required(event_type):
    """None lacks all of them."""
    assert len(refused(event_type, None)) == len(COMPLETE[event_type])


@pytest.mark.parametrize(
    ("event_type", "optional"),
    [
        ("session_discovered", {"iterm_pane_id": "w0t0p0"}),
        ("session_ended", {"duration_seconds": 1.5}),
        ("session_ended", {"duration_seconds": 0}),
        ("state_transition", {"confidence": 1.0}),
    ],
)
def test_an_optional_key_is_taken(event_type, optional):
    """What may be there is kept."""
    payload = COMPLETE[event_type] | optional

    assert validated_payload(event_type, payload) == payload


@pytest.mark.parametrize("event_type", COMPLETE)
def test_an_unknown_key_is_refused(event_type):
    """A key of no meaning is a mistake."""
    payload = COMPLETE[event_type] | {"zzz": 1}

    assert refused(event_type, payload) == {"payload.zzz": "is not a key of this event"}


def test_a_misspelt_key_is_answered_with_the_nearest():
    """Whoever misspelt it learns what was meant."""
    payload = COMPLETE["session_ended"] | {"duration_secs": 1}

    assert refused("session_ended", payload) == {
        "payload.duration_secs": "is not a key of this event; did you mean duration_seconds?"
    }


@pytest.mark.parametrize(
    ("event_type", "key", "value"),
    [
        ("session_ended", "session_uuid", "5ca1ab1e"),
        ("session_ended", "session_uuid", 5),
        ("session_ended", "reason", " "),
        ("session_ended", "duration_seconds", -1),
        ("session_ended", "duration_seconds", True),
        ("session_ended", "duration_seconds", float("inf")),
        ("turn_detected", "actor", "robot"),
        ("turn_detected", "text", None),
        ("turn_detected", "turn_timestamp", "2026-01-02T03:04:05"),
        ("turn_detected", "turn_timestamp", "yesterday"),
        ("state_transition", "to_state", "done"),
        ("state_transition", "confidence", 1.1),
        ("state_transition", "confidence", "1"),
    ],
)
def test_a_wrong_value_is_refused(event_type, key, value):
    """Each value is checked for what it is."""
    payload = COMPLETE[event_type] | {key: value}

    assert list(refused(event_type, payload)) == [f"payload.{key}"]


@pytest.mark.parametrize("event_type", OPEN)
@pytest.mark.parametrize("payload", [None, {}, {"anything": {"goes": [1, None, "\\u0000"]}}])
def test_an_open_type_takes_any_object(event_type, payload):
    """Where no keys are listed, any object will do, and none."""
    assert validated_payload(event_type, payload) == payload


@pytest.mark.parametrize(
    "value", [float("nan"), object(), "nul \0", {"deep": ["\0"]}, {"\0": 1}, "\ud800"]
)
def test_what_jsonb_can_not_hold_is_refused(value):
    """It is refused here, with a reason, and not by the database in the middle of a transaction."""
    assert list(refused("notification_sent", {"key": value})) == ["payload"]


def test_an_unknown_type_is_refused():
    """The known types are named."""
    fields = refused("session_lost", {})

    assert list(fields) == ["event_type"]
    assert "session_discovered, session_ended" in fields["event_type"]
