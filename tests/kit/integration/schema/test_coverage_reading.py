"""What a statement touches is what the server says that it touches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pgsandbox.plugin.pg import Pg
from pgsandbox.schema.coverage.inventory import Inventory, inventory_of
from pgsandbox.schema.coverage.reading import Reader, Touched


@pytest.fixture
def connection(pg: Pg, db_session: object) -> Iterator[Any]:
    """One to the database that the reference application's tests use, outside of any test."""
    found = pg.server.connect(pg._run.url_of().database)
    pg._run.run_databases["default"].database.expect_session()
    yield found
    found.close()


@pytest.fixture
def inventory(connection: Any) -> Inventory:
    """The schema of the reference application."""
    return inventory_of(connection)


def named(inventory: Inventory, columns: set[tuple[int, int]]) -> set[str]:
    """*columns* as ``table.column``."""
    names = {(each.table, each.number): each.name for each in inventory.columns}
    return {f"{inventory.relations[table].name}.{names[table, n]}" for table, n in columns if n > 0}


def touched(connection: Any, inventory: Inventory, statement: str) -> Touched:
    """What *statement* touches."""
    return Reader(connection, inventory.views).touched(statement)


@pytest.mark.parametrize(
    ("statement", "read", "written"),
    [
        (
            "SELECT name FROM projects WHERE path = $1",
            {"projects.name", "projects.path"},
            set(),
        ),
        (
            "INSERT INTO projects (name, path) VALUES ($1, $2) RETURNING id",
            {"projects.id"},
            {"projects.name", "projects.path"},
        ),
        (
            "UPDATE tasks SET state = 'complete' WHERE agent_id IN (SELECT id FROM agents)",
            {"tasks.agent_id", "agents.id"},
            {"tasks.state"},
        ),
        ("DELETE FROM turns WHERE id = 1", {"turns.id"}, set()),
        (
            "WITH gone AS (DELETE FROM turns RETURNING task_id) SELECT count(*) FROM gone",
            {"turns.task_id"},
            set(),
        ),
        ("SELECT count(*) FROM projects", set(), set()),
    ],
)
def test_columns_are_those_that_the_server_checks(
    connection: Any, inventory: Inventory, statement: str, read: set[str], written: set[str]
) -> None:
    """Through subqueries and CTEs, and by no search in the text."""
    found = touched(connection, inventory, statement)

    assert named(inventory, found.columns_read) == read
    assert named(inventory, found.columns_written) == written


@pytest.mark.parametrize(
    ("statement", "is_written"),
    [("DELETE FROM turns", False), ("UPDATE turns SET text = ''", True), ("TABLE turns", False)],
)
def test_who_deletes_writes_no_row(
    connection: Any, inventory: Inventory, statement: str, is_written: bool
) -> None:
    """A table that is only emptied has never had a row of a test."""
    found = touched(connection, inventory, statement)

    assert bool(found.written) is is_written


def test_a_star_is_every_column(connection: Any, inventory: Inventory) -> None:
    """As the server has expanded it."""
    found = touched(connection, inventory, "SELECT * FROM turns")
    table = next(each.oid for each in inventory.relations.values() if each.name == "turns")

    assert found.columns_read == {
        (table, each.number) for each in inventory.columns if each.table == table
    }


def test_a_constant_has_its_type(connection: Any, inventory: Inventory) -> None:
    """An enum's value is told from a number and from the same word elsewhere."""
    found = touched(connection, inventory, "SELECT 1 FROM tasks WHERE state = 'complete'")

    assert [
        each.label for each in inventory.enum_values if (each.type, each.oid) in found.constants
    ] == ["complete"]


def test_nothing_is_left_of_it(connection: Any, inventory: Inventory) -> None:
    """Neither the function nor the prepared statement, nor where it is refused."""
    reader = Reader(connection, inventory.views)
    reader.touched("SELECT 1 FROM turns")
    with pytest.raises(Exception, match="nowhere"):
        reader.touched("SELECT 1 FROM nowhere")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM pg_prepared_statements)"
            " + (SELECT count(*) FROM pg_proc WHERE proname LIKE 'pgsandbox%')"
        )
        (left,) = cursor.fetchone()

    assert left == 0
