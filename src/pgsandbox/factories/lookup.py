"""Finds the row that a factory's key names, or makes it where nothing else is lost by trying."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pgsandbox.errors import Fact, FactoryError
from pgsandbox.factories.calls import Call

if TYPE_CHECKING:
    from pgsandbox.factories.base import Factory


def get_or_create(
    factory: type[Factory[Any]],
    session: Session,
    values: Mapping[str, Any],
    add: Callable[[], Any],
    call: Call,
) -> Any:
    """Return the object whose key *values* holds; if the database has none, the one *add* makes.

    It is made inside a savepoint: if the database refuses it, what the test wrote before stays.
    Factory Boy's own way rolls the session back there, and the test's rows with it. Within one call
    of a factory the same key is looked up once.

    Raises FactoryError if the database refuses the object and has none with its key either, or has
    several.
    """
    key = _key_of(factory, values)
    place = _hashable((factory._meta.model, session, *key.items()))
    if place in call.found:
        return call.found[place]
    call.write()
    found = _find(factory, session, key)
    if found is None:
        found = _create(factory, session, key, add, call)
    if place is not None:
        call.found[place] = found
    return found


def _key_of(factory: type[Factory[Any]], values: Mapping[str, Any]) -> dict[str, Any]:
    names = factory._meta.sqlalchemy_get_or_create
    missing = [name for name in names if name not in values]
    if missing:
        raise FactoryError(
            f"{factory.__name__} has no value for {', '.join(missing)}, which it looks rows up by.",
            facts=[Fact("sqlalchemy_get_or_create", ", ".join(names))],
            remedy=f"Declare {missing[0]} in the factory, or pass it.",
        )
    return {name: values[name] for name in names}


def _find(factory: type[Factory[Any]], session: Session, key: Mapping[str, Any]) -> Any:
    query = sqlalchemy.select(factory._meta.model).filter_by(**key).limit(2)
    # unique() because a model may load a collection by a join.
    found = session.scalars(query).unique().all()
    if len(found) > 1:
        raise FactoryError(
            f"{factory.__name__} found more than one {factory._meta.model.__name__} with its key.",
            facts=_facts_of(key),
            remedy="Name columns in sqlalchemy_get_or_create that are unique together.",
        )
    return found[0] if found else None


def _create(
    factory: type[Factory[Any]],
    session: Session,
    key: Mapping[str, Any],
    add: Callable[[], Any],
    call: Call,
) -> Any:
    if factory._meta.sqlalchemy_session_persistence is None:
        return add()
    # What the test has not written yet is no part of the attempt.
    session.flush()
    try:
        with session.begin_nested():
            made = add()
            session.flush()
    except IntegrityError as error:
        return _find_after_refusal(factory, session, key, call, error)
    return made


def _find_after_refusal(
    factory: type[Factory[Any]],
    session: Session,
    key: Mapping[str, Any],
    call: Call,
    error: IntegrityError,
) -> Any:
    # The row may have come between the look and the attempt; or only the part of the key that the
    # caller passed names it, and the declarations made up the rest.
    passed = {name: value for name, value in key.items() if name in call.passed}
    found = _find(factory, session, key)
    if found is None and passed:
        found = _find(factory, session, passed)
    if found is not None:
        return found
    raise FactoryError(
        f"The database refused the {factory._meta.model.__name__} of {factory.__name__}, and has "
        "none with its key to return instead.",
        facts=[*_facts_of(key), Fact("refusal", str(error.orig).strip())],
        remedy="Another unique column, or another constraint, stands in the way: give it a value "
        "of its own, or name it in sqlalchemy_get_or_create.",
    ) from error


def _facts_of(key: Mapping[str, Any]) -> list[Fact]:
    return [Fact(name, repr(value)) for name, value in key.items()]


def _hashable(place: tuple[Any, ...]) -> tuple[Any, ...] | None:
    try:
        hash(place)
    except TypeError:
        return None
    return place
