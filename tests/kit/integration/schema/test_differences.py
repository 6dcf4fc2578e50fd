"""Every kind of difference is found alone and named rightly, whichever side it is on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from pgsandbox.schema.compare import Difference, compare
from pgsandbox.schema.reconcile import statement_for
from tests.kit.integration.databases.conftest import LocalServer
from tests.kit.integration.schema.differences import Laboratory, Seeded, seeded


@pytest.fixture(scope="module")
def laboratory(running_server: LocalServer) -> Iterator[Laboratory]:
    """A database with a schema that has something of everything."""
    running_server.run("create database {} template template0", "laboratory")
    with closing(running_server.connect("laboratory")) as connection:
        connection.autocommit = False
        yield Laboratory(connection)
    running_server.run("drop database {} with (force)", "laboratory")


@pytest.fixture
def difference(request: pytest.FixtureRequest, laboratory: Laboratory) -> Seeded:
    """The difference of the test, if the server knows such a thing."""
    found: Seeded = request.param
    if found.since > laboratory.version:
        pytest.skip(f"PostgreSQL {found.since}")
    return found


def _named(differences: list[Difference]) -> list[tuple[str, str]]:
    return [(each.code, each.key.identity) for each in differences]


@pytest.mark.parametrize("difference", seeded(), ids=str, indirect=True)
def test_a_difference_is_found_alone(laboratory: Laboratory, difference: Seeded) -> None:
    """One finding that names its kind and the object; a statement only where it is safe to say."""
    changed = laboratory.changed(difference.change)
    found = compare(laboratory.base, changed)

    assert _named(found) == [(difference.code, difference.object)]
    assert _named(compare(changed, laboratory.base)) == [(difference.back, difference.reversed)]
    assert bool(statement_for(found[0], changed)) == bool(difference.statement)


@pytest.mark.parametrize(
    "difference", [each for each in seeded() if each.statement], ids=str, indirect=True
)
def test_the_statement_reconciles(laboratory: Laboratory, difference: Seeded) -> None:
    """Nothing is found after it but what the table of differences says."""
    reconciled = laboratory.changed(difference.change, difference.statement or "")

    codes = [each.code for each in compare(laboratory.base, reconciled)]
    assert sorted(codes) == sorted(difference.leaves)
