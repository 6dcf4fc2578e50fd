"""No database here: pgsandbox refuses one."""

from library.lending import AlreadyLent


def test_the_error_names_the_book():
    """A unit test runs without a server."""
    assert str(AlreadyLent(7)) == "7"
