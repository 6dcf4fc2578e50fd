"""Every kind of difference is found alone and named rightly, whichever side it is on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from pgsandbox.schema.compare import Difference, compare
from pgsandbox.schema.reconcile import statement_for
from tests.kit.integration.databases.conftest import PROGRAMS, LocalServer
from tests.kit.integration.schema.differences import Laboratory, Seeded, seeded


@pytest.fixture(scope="module")
def laboratory(running_server: LocalServer) -> Iterator[Laboratory]:
    """A database with a schema that has something of everything."""
    running_server.run("create database {} template template0", "laboratory")
    where = {"host": str(running_server.directory), "user": running_server.role}
    # Not as the kit connects, which is in autocommit: each change is in a transaction.
    with closing(psycopg2.connect(**where, dbname="laboratory")) as connection:
        yield Laboratory(connection)
    running_server.run("drop database {} with (force)", "laboratory")


Found = dict[Seeded, tuple[list[tuple[str, str]], list[tuple[str, str]], bool]]


def _named(differences: list[Difference]) -> list[tuple[str, str]]:
    return [(each.code, each.key.identity) for each in differences]


@pytest.mark.parametrize("section", dict.fromkeys(each.section for each in seeded()))
def test_a_difference_is_found_alone(laboratory: Laboratory, section: str) -> None:
    """One finding that names its kind and the object; a statement only where it is safe to say."""
    found: Found = {}
    for each in laboratory.differences(section):
        changed = laboratory.changed(each.change)
        there, back = compare(laboratory.base, changed), compare(changed, laboratory.base)
        has_statement = any(statement_for(one, changed) for one in there)
        found[each] = (_named(there), _named(back), has_statement)

    assert found == {
        each: ([(each.code, each.object)], [(each.back, each.reversed)], bool(each.statement))
        for each in laboratory.differences(section)
    }


@pytest.mark.parametrize("running_server", [*PROGRAMS][-1:], indirect=True)
@pytest.mark.parametrize("section", dict.fromkeys(each.section for each in seeded()))
def test_a_statement_reconciles(laboratory: Laboratory, section: str) -> None:
    """Nothing is found after it but what the table of differences says."""
    left: dict[Seeded, list[str]] = {}
    for each in laboratory.differences(section):
        if each.statement:
            reconciled = laboratory.changed(each.change, each.statement)
            left[each] = sorted(one.code for one in compare(laboratory.base, reconciled))

    assert left == {each: sorted(each.leaves) for each in left}
