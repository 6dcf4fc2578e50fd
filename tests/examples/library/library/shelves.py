"""Rows that every installation begins with."""

from library.models import Shelf


# --8<-- [start:seed]
def put_up(session):
    """Add the shelves; pgsandbox commits them, once, before the first test."""
    session.add_all([Shelf(name="A"), Shelf(name="B")])


# --8<-- [end:seed]
