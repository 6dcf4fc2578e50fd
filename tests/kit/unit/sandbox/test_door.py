"""The door, set up and taken away."""

from __future__ import annotations

from pgsandbox.sandbox import Door, direct


def test_drivers_that_were_freed_stay_free() -> None:
    """Also where the door was set aside for a while, as a comparison of schemas does."""
    before = list(direct._judges)
    door = Door()
    door.install()
    door.free_the_drivers()
    door.remove()
    door.install()
    judges = list(direct._judges)
    door.remove()

    assert judges == before
