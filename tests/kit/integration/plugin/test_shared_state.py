"""A clone test that changes what is not in its clone fails, and says what it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import psycopg2
import pytest

from pgsandbox.servers import Server
from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome, execute

_TESTS = """
    import subprocess
    import sys

    import psycopg2
    import pytest
    from sqlalchemy import make_url

    pytestmark = pytest.mark.pgsandbox(isolation="clone")

    def run(pg, *statements):
        connection = psycopg2.connect(pg.url.replace("+psycopg2", ""))
        connection.autocommit = True
        for statement in statements:
            connection.cursor().execute(statement)
        connection.close()

    def test_drops_a_foreign_database(pg):
        run(pg, "drop database <name>_production")

    def test_alters_the_settings_of_a_foreign_database(pg):
        run(pg, "alter database <name>_other set default_transaction_read_only = on")

    def test_leaves_a_role(pg):
        run(pg, "create role <name>_intruder superuser")

    def test_leaves_a_tablespace(pg):
        run(
            pg,
            "set allow_in_place_tablespaces = on",
            "create tablespace <name>_intruder location ''",
        )

    def test_leaves_a_setting_of_the_server(pg):
        run(pg, "alter system set work_mem = '9MB'")

    def test_clears_up(pg):
        run(pg, "create role <name>_guest", "drop role <name>_guest")

    def test_is_beside_somebody_else(pg):
        run(pg, "create table more ()")
        where = make_url(pg.url).set(drivername="postgresql", database="postgres")
        url = where.render_as_string(hide_password=False)
        statements = ["create role <name>_stranger", "create database <name>_strange"]
        code = "import sys, psycopg2; c = psycopg2.connect(sys.argv[1]); c.autocommit = True\\n"
        code += "for each in sys.argv[2:]: c.cursor().execute(each)"
        subprocess.run([sys.executable, "-c", code, url, *statements], check=True)

    def test_stays_in_its_clone(db_session, pg):
        run(pg, "create table more ()")
"""
ATTACKS = {
    "test_drops_a_foreign_database": "_production: is gone",
    "test_alters_the_settings_of_a_foreign_database": "default_transaction_read_only=on",
    "test_leaves_a_role": "_intruder: is new",
    "test_leaves_a_tablespace": "_intruder: is new",
    "test_leaves_a_setting_of_the_server": "work_mem = '9MB'",
}


@pytest.fixture(scope="module")
def outcome(make_project: MakeProject, server: Server) -> Iterator[Outcome]:
    """What a run of them all said."""
    project = make_project({"tests/integration/test_attacks.py": _TESTS})
    name = project.name
    execute(server, "create database {}", f"{name}_production")
    execute(server, "create database {}", f"{name}_other")
    yield project.run("-p", "no:randomly", "-v")
    for statement in (
        "drop database if exists <name>_production",
        "drop database <name>_other",
        "drop role <name>_intruder",
        "drop role <name>_stranger",
        "drop database <name>_strange",
        "drop tablespace <name>_intruder",
        "alter system reset work_mem",
    ):
        with suppress(psycopg2.Error):
            execute(server, statement.replace("<name>", name))


@pytest.mark.parametrize(("name", "told"), ATTACKS.items(), ids=ATTACKS)
def test_it_fails(outcome: Outcome, name: str, told: str) -> None:
    """With the thing that it left otherwise than it was."""
    section = outcome.section(f"ERROR at teardown of {name}")

    assert "SharedStateChanged" in section
    assert told in section


def test_the_others_pass(outcome: Outcome) -> None:
    """Also one that has made a role and dropped it, and one beside somebody who leaves one."""
    assert "::test_clears_up PASSED" in outcome.out
    assert "::test_is_beside_somebody_else PASSED" in outcome.out
    assert "ERROR at teardown of test_is_beside_somebody_else" not in outcome.out
    assert "::test_stays_in_its_clone PASSED" in outcome.out
    assert outcome.code == 1
