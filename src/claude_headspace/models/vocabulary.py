"""How a vocabulary of the domain becomes an enum type of PostgreSQL."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Enum


def vocabulary(members: type[StrEnum], name: str) -> Enum:
    """Return the column type *name* whose values are the members' values, in their order.

    SQLAlchemy alone would store the members' names. ``create_constraint`` is for databases without
    enum types; PostgreSQL's own type is the constraint here.
    """
    return Enum(
        members,
        name=name,
        create_constraint=True,
        values_callable=lambda vocabulary: [member.value for member in vocabulary],
    )
