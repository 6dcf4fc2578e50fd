"""A suite of somebody else runs on a database of its own, to its end."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest

from tests.kit.driver_suites.outcomes import read
from tests.kit.driver_suites.running import Runner
from tests.kit.driver_suites.suites import SUITES
from tests.kit.driver_suites.targets import Circumstances, real

_TESTS = """
import os
import psycopg2

def connect():
    names = {"host": "_HOST", "port": "_PORT", "user": "_USER", "password": "_PASSWORD"}
    prefix = "PSYCOPG2_TESTDB"
    words = {word: os.environ[prefix + end] for word, end in names.items()}
    return psycopg2.connect(dbname=os.environ[prefix], **words)

def test_a_writes():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (number int)")

def test_b_sees_what_was_written():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM kept")

def test_c_ends_the_process():
    os._exit(3)

def test_d_finds_another_database():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('kept')")
        assert cursor.fetchone() == (None,)
"""


@pytest.fixture
def checkout(tmp_path):
    """What stands for a checkout of psycopg2."""
    folder = tmp_path / "checkout" / "tests"
    folder.mkdir(parents=True)
    (folder / "test_rows.py").write_text(_TESTS)
    return folder.parent


@pytest.fixture
def runner(tmp_path):
    """Runs suites with the tests' own interpreter."""
    # That interpreter has the kit, which watches over drivers.
    return Runner(Path(sys.executable), tmp_path, words=("-pno:pgsandbox",))


@pytest.mark.nightly
def test_a_suite_goes_on_with_another_database(runner, checkout):
    """Its tests share one until one of them ends the process."""
    suite = replace(SUITES[0], tests=("tests",))
    path = runner.run(suite, checkout, "real", 1)
    began = path.stat().st_mtime_ns
    verdicts = {name.partition("::")[2]: each.verdict for name, each in read(path).items()}

    assert verdicts == {
        "test_a_writes": "passed",
        "test_b_sees_what_was_written": "passed",
        "test_c_ends_the_process": "died",
        "test_d_finds_another_database": "passed",
    }
    assert runner.run(suite, checkout, "real", 1).stat().st_mtime_ns == began


def test_a_suite_that_does_not_start_is_an_error(runner, checkout):
    """An empty file of outcomes would compare well with another."""
    suite = replace(SUITES[0], tests=("tests", "--no-such-option"))

    with pytest.raises(RuntimeError, match="psycopg2 does not start: see "):
        runner.run(suite, checkout, "real", 1)


def test_a_database_has_what_its_suite_needs():
    """Schemas in any case, extensions where the server has them."""
    circumstances = Circumstances(schemas=("test_schema",), extensions=("vector", "no_such"))
    with real(circumstances) as target, closing(psycopg2.connect(target.dsn())) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT to_regnamespace('test_schema') IS NOT NULL")
        has_schema = cursor.fetchone()
        cursor.execute("SELECT extname FROM pg_extension ORDER BY 1")
        extensions = cursor.fetchall()

    assert has_schema == (True,)
    assert extensions == [("plpgsql",), ("vector",)]
