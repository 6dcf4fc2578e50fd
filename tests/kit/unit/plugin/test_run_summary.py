"""What workers of pytest-xdist send at their end, and what the controller makes of it."""

from __future__ import annotations

from pgsandbox.plugin.reporting import Figures, RunSummary

_FIRST = RunSummary(
    Figures(tests=3, preparation=2.0, setup=0.5, teardown=0.25, removal=1.0),
    kept=["shop_gw0_test is kept"],
)
_SECOND = RunSummary(
    Figures(tests=4, preparation=3.0, setup=0.5, teardown=0.5, removal=0.5),
    problems=["DatabaseError: shop_gw1_test"],
    refusal="ConfigurationError: wrong",
)


def test_the_controller_adds_up():
    """Times that pass side by side count once, by the longest; all else is summed."""
    totals = RunSummary(Figures(preparation=0.5))
    totals.add(_FIRST.as_dict())
    totals.add(_SECOND.as_dict())

    assert totals.figures == Figures(
        tests=7, preparation=3.0, setup=1.0, teardown=0.75, removal=1.0
    )


def test_what_each_has_to_say_is_kept():
    """Every database that stays, every problem, and what stopped the first that was stopped."""
    totals = RunSummary()
    totals.add(_FIRST.as_dict())
    totals.add(_SECOND.as_dict())

    assert totals.kept == ["shop_gw0_test is kept"]
    assert totals.problems == ["DatabaseError: shop_gw1_test"]
    assert totals.refusal == "ConfigurationError: wrong"


def test_a_worker_sends_what_any_channel_carries():
    """Text, numbers, lists and dictionaries."""
    assert _FIRST.as_dict() == {
        "figures": {
            "tests": 3,
            "preparation": 2.0,
            "setup": 0.5,
            "teardown": 0.25,
            "removal": 1.0,
        },
        "kept": ["shop_gw0_test is kept"],
        "problems": [],
        "refusal": "",
        "waits": [],
        "notes": [],
        "late": [],
        "pending": [],
        "swallowed": [],
        "uncommitted": [],
        "repeated": [],
        "coverage": {},
        "refused_hooks": {},
    }
