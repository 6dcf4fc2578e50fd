"""The arithmetic of connections: what is free, what a run needs, and what the message says."""

import pytest

from pgsandbox.databases.capacity import Capacity, most_processes, needed, require_enough
from pgsandbox.errors import TooFewConnections


@pytest.mark.parametrize(
    ("capacity", "free"),
    [
        (Capacity(100, 3, 10), 87),
        (Capacity(100, 0, 10), 90),
        (Capacity(100, 3, 99), 0),
        (Capacity(100, 3, 10, most_of_role=20, in_use_by_role=5), 15),
        (Capacity(100, 3, 90, most_of_role=20, in_use_by_role=5), 7),
    ],
)
def test_what_is_free_is_what_the_role_can_open(capacity, free):
    """The server's rest or the role's own, whichever is less."""
    assert capacity.free == free


@pytest.mark.parametrize("processes", [1, 2, 8, 64])
@pytest.mark.parametrize("databases", [1, 3])
def test_as_many_processes_fit_as_are_needed_for(processes, databases):
    """The remedy's number is the greatest that passes."""
    wanted = needed(processes, databases)

    assert most_processes(wanted, databases) == processes
    assert most_processes(wanted - 1, databases) == processes - 1


def test_enough_is_enough():
    """Exactly as many as are needed will do."""
    require_enough(Capacity(most=20, reserved=3, in_use=8), processes=4, databases=1)


def test_too_few_are_told_with_the_sum():
    """Each number and its source, and how many processes would fit."""
    with pytest.raises(TooFewConnections) as caught:
        require_enough(Capacity(20, 3, 9, most_of_role=50, in_use_by_role=1), 8, 1)

    said = str(caught.value)
    assert "needs 17 connections for 8 processes with tests, and the server has 8 left" in said
    assert "8 x 2 + 1" in said
    assert "Run 3 of them (-n 3), or raise max_connections." in said
    assert "50, of which 1 are in use" in said


def test_several_databases_count_each():
    """A bind has a sandbox of its own; all leases of a process share one connection."""
    with pytest.raises(TooFewConnections, match="needs 17 connections for 4 processes"):
        require_enough(Capacity(16, 0, 0), processes=4, databases=3)


def test_no_room_at_all_asks_for_the_end_of_others():
    """There is no number of workers to propose."""
    with pytest.raises(TooFewConnections) as caught:
        require_enough(Capacity(20, 0, 20), processes=1, databases=1)

    assert caught.value.remedy == "End other sessions, or raise max_connections."
