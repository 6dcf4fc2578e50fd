"""The endpoint stays in the database that the run has made, and in no other of its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from pgsandbox.errors import DatabaseError
from pgsandbox.sandbox.endpoint_process import PORT, EndpointProcess

Open = Callable[..., Any]


@pytest.fixture
def open_endpoint(database: tuple[str, str]) -> Iterator[Open]:
    """Open the database through an endpoint that is told which one it is."""
    host, name = database
    with closing(EndpointProcess()) as process:

        def open_endpoint(**proof: str) -> None:
            parameters = {"host": host, "port": str(PORT), "user": "postgres", "database": name}
            process.call("open", parameters=parameters | proof, restarts_sequences=False)

        yield open_endpoint


@pytest.fixture
def proof(database: tuple[str, str]) -> dict[str, str]:
    """What the mark of that database says."""
    host, name = database
    with closing(psycopg2.connect(host=host, port=PORT, user="postgres", dbname=name)) as there:
        cursor = there.cursor()
        cursor.execute(
            "SELECT oid::text, system_identifier::text FROM pg_database, pg_control_system()"
            " WHERE datname = current_database()"
        )
        ((oid, system),) = cursor.fetchall()
    return {"oid": oid, "system": system}


def test_the_database_of_the_run_is_opened(open_endpoint: Open, proof: dict[str, str]) -> None:
    """Also where the role may not read which server it is."""
    open_endpoint(**proof)
    open_endpoint(**proof | {"system": ""})


@pytest.mark.parametrize("other", ["oid", "system"])
def test_another_of_its_name_is_refused(
    open_endpoint: Open, proof: dict[str, str], other: str
) -> None:
    """It was made anew by somebody else, or its address leads to another server by now."""
    with pytest.raises(DatabaseError, match="is not the one that pgsandbox has made"):
        open_endpoint(**proof | {other: "4711"})


def test_an_address_counts_for_more_than_a_host(open_endpoint: Open) -> None:
    """As for libpq, which has made the database by it."""
    with pytest.raises(Exception, match="ConnectionRefusedError"):
        open_endpoint(hostaddr="127.0.0.77")
