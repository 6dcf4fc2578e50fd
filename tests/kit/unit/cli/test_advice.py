"""The advice of ``pgsandbox doctor``: what fails comes first, then what gains most."""

from dataclasses import replace

from pgsandbox.cli.advice import DURABILITY, Costs, Situation, advise

QUICK = Costs(round_trip=0.05, commit=0.1, commit_without_waiting=0.1, create=20, copy=20, drop=10)
FINE = Situation(
    kind="given",
    version=180000,
    role="app",
    may_create=True,
    is_superuser=False,
    settings=dict(DURABILITY),
    costs=QUICK,
    free=90,
    most_processes=44,
    processors=8,
)


def test_nothing_is_to_be_changed_where_all_is_well():
    """A server for tests, a role of its own, room for every processor."""
    assert advise(FINE) == []


def test_a_durable_server_is_told_what_each_clone_costs():
    """The settings that are on, and the figures that were measured."""
    slow = replace(QUICK, commit=8.0, commit_without_waiting=0.2, copy=300, drop=150)
    settings = {**DURABILITY, "fsync": "on", "synchronous_commit": "on"}
    (advice,) = advise(replace(FINE, settings=settings, costs=slow))

    assert advice.what.startswith("Turn off fsync, synchronous_commit on a server")
    assert "takes 450 ms for each test with a clone" in advice.why
    assert "waits 7.8 ms for the disk" in advice.why


def test_a_server_far_away_is_told_what_the_way_costs():
    """Thirty statements of a test, each with its round trip."""
    (advice,) = advise(replace(FINE, costs=replace(QUICK, round_trip=2.1)))

    assert "a test of 30 statements 60 ms more than through a socket" in advice.why


def test_what_gains_more_comes_first():
    """Measured, not by a list of favourites."""
    settings = {**DURABILITY, "fsync": "on"}
    far = advise(replace(FINE, settings=settings, costs=replace(QUICK, round_trip=5.1)))
    near = advise(replace(FINE, settings=settings, costs=replace(QUICK, round_trip=0.2)))

    assert [each.what.split()[0] for each in far] == ["Bring", "Turn"]
    assert [each.what.split()[0] for each in near] == ["Turn", "Bring"]


def test_what_makes_runs_fail_comes_before_everything_else():
    """A missing right, and a server without a connection left."""
    settings = {**DURABILITY, "fsync": "on"}
    found = advise(replace(FINE, settings=settings, free=1, most_processes=0))
    refused = advise(replace(FINE, may_create=False, costs=None))

    assert [each.is_problem for each in found] == [True, False]
    assert refused[0].what == 'Let the role create databases: ALTER ROLE "app" CREATEDB'


def test_an_embedded_server_needs_no_advice_about_its_settings():
    """They are the kit's own, and its superuser has nobody else's data."""
    embedded = replace(FINE, kind="embedded", is_superuser=True, settings={"fsync": "on"})

    assert advise(embedded) == []


def test_left_overs_come_last():
    """They cost nothing but room."""
    found = advise(replace(FINE, left_over=2, kept=1, is_superuser=True))

    assert [each.gain for each in found] == [0.0, 0.0, 0.0]
    assert "2 databases are left over" in found[0].why
    assert "1 database is kept" in found[1].why
