"""What the endpoint said, found again in the errors that drivers make of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pgsandbox.errors import Fact, NotInSandbox
from pgsandbox.sandbox.endpoint import messages, refusals
from pgsandbox.sandbox.explanation import refusal_in

REFUSAL = refusals.isolation_level("SERIALIZABLE", "a connection: of mine", "test_a.py::test_b")
FIELDS = messages.fields_of(refusals.as_message(REFUSAL)[5:])


def _of_libpq(**changed: str | None) -> BaseException:
    """An error as psycopg2 and psycopg make it, with a ``diag``."""
    names = {"schema_name": "s", "message_primary": "M", "message_detail": "D", "message_hint": "H"}
    diag = {name: FIELDS.get(letter) for name, letter in names.items()} | changed
    error = Exception(FIELDS["M"])
    error.diag = SimpleNamespace(**diag)  # type: ignore[attr-defined]
    return error


def _of_asyncpg() -> BaseException:
    """An error as asyncpg makes it, with attributes of its own."""
    error = Exception(FIELDS["M"])
    names = {"schema_name": "s", "message": "M", "detail": "D", "hint": "H"}
    for name, letter in names.items():
        setattr(error, name, FIELDS.get(letter))
    return error


def _wrapped() -> BaseException:
    """An error as SQLAlchemy's asyncpg dialect raises it, from the driver's."""
    error = Exception("wrapped")
    error.__cause__ = _of_asyncpg()
    return error


@pytest.mark.parametrize("error", [_of_libpq(), _of_asyncpg(), _wrapped()])
def test_the_refusal_is_what_it_was(error: BaseException) -> None:
    """Its class, its headline, its facts and its remedy."""
    found = refusal_in(error)

    assert type(found) is NotInSandbox
    assert found.headline == REFUSAL.headline
    assert found.remedy == REFUSAL.remedy
    assert [(each.name, each.value) for each in found.facts] == [
        ("test", "test_a.py::test_b"),
        ("connection", "a connection: of mine"),
    ]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("NotInSandbox: no"),
        _of_libpq(schema_name=None),
        _of_libpq(schema_name="public"),
        _of_libpq(message_primary="NoSuchError: what"),
        _of_libpq(message_primary="Fact: no error"),
        _of_libpq(message_primary=None),
    ],
)
def test_an_error_of_anybody_else_is_none(error: BaseException) -> None:
    """The server's own errors stay what they are."""
    assert refusal_in(error) is None


def test_a_refusal_without_facts() -> None:
    """What is missing is empty."""
    found = refusal_in(_of_libpq(message_detail=None, message_hint=None))

    assert found is not None
    assert (list(found.facts), found.remedy) == ([], "")


def test_a_fact_of_several_lines_keeps_its_first() -> None:
    """A statement may have line ends; none of them becomes a fact of its own."""
    refusal = refusals.two_phase("PREPARE TRANSACTION\n'x'", "a test")
    detail = messages.fields_of(refusals.as_message(refusal)[5:])["D"]
    found = refusal_in(_of_libpq(message_detail=detail))

    assert found is not None
    assert found.facts[0] == Fact("test", "a test")
    assert [each.name for each in found.facts] == ["test", "statement"]
