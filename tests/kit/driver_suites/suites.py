"""The suites: which of their tests run, and how each is pointed at a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.kit.driver_suites.targets import Target

_SQLALCHEMY_TESTS = (
    "test/dialect/test_suite.py",
    *(
        f"test/dialect/postgresql/test_{name}.py"
        for name in ("async_pg", "bitstring", "dialect", "on_conflict", "query", "reflection")
    ),
    "test/dialect/postgresql/test_types.py",
    *(
        f"test/engine/test_{name}.py"
        for name in ("ddlevents", "execute", "logging", "reconnect", "reflection", "transaction")
    ),
    *(
        f"test/orm/test_{name}.py"
        for name in ("session", "transaction", "unitofworkv2", "versioning", "lockmode")
    ),
    "test/orm/dml/test_bulk.py",
    "test/orm/dml/test_bulk_statements.py",
    *(
        f"test/sql/test_{name}.py"
        for name in ("constraints", "defaults", "identity_column", "insert_exec", "query")
    ),
    *(f"test/sql/test_{name}.py" for name in ("resultset", "returning", "sequences")),
    "test/ext/asyncio",
)
"""Those that need a database and say something of transactions, sessions, or the dialect.

Without the 8,000 on ranges, which put each pair of them through each operator.
"""


@dataclass(frozen=True)
class Suite:
    """A test suite of somebody else."""

    name: str
    project: str
    """Whose checkout it is in: the option that names it."""
    files: tuple[str, ...]
    """What of the checkout is needed. It is copied, so that nothing is written into the checkout,
    and so that asyncpg's suite imports the asyncpg that is installed and compiled."""
    tests: tuple[str, ...]
    """Arguments of pytest: which tests."""
    connect: Callable[[Target], tuple[list[str], dict[str, str]]]
    """Arguments of pytest and environment variables that point it at a target."""
    interpreter: tuple[str, ...] = ()
    """Options of Python."""
    database: str = "suite_test"
    schemas: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    """What its database must have, or may have."""
    replaced: tuple[tuple[str, str], ...] = ()
    """Files of the copy that are ours instead (``inside``)."""


def _psycopg2(target: Target) -> tuple[list[str], dict[str, str]]:
    return [], {
        "PSYCOPG2_TESTDB": target.database,
        "PSYCOPG2_TESTDB_HOST": target.host,
        "PSYCOPG2_TESTDB_PORT": str(target.port),
        "PSYCOPG2_TESTDB_USER": target.user,
        "PSYCOPG2_TESTDB_PASSWORD": target.password,
    }


def _psycopg(target: Target) -> tuple[list[str], dict[str, str]]:
    return [], {"PSYCOPG_TEST_DSN": target.dsn()}


def _asyncpg(target: Target) -> tuple[list[str], dict[str, str]]:
    return [], {
        "PGHOST": target.host,
        "PGPORT": str(target.port),
        "PGUSER": target.user,
        "PGPASSWORD": target.password,
        "PGDATABASE": target.database,
    }


def _sqlalchemy(driver: str) -> Suite:
    def connect(target: Target) -> tuple[list[str], dict[str, str]]:
        return [f"--dburi={target.url(driver)}"], {}

    return Suite(
        f"sqlalchemy-{driver}",
        "sqlalchemy",
        ("test", "lib", "setup.cfg", "pyproject.toml"),
        (*_SQLALCHEMY_TESTS, *_without("Range"), "--maxfail=1000000"),
        connect,
        interpreter=("-s",),  # the installed SQLAlchemy, with its compiled parts: test/conftest.py
        schemas=("test_schema", "test_schema_2"),
        extensions=("hstore", "citext"),
    )


def _without(*names: str) -> tuple[str, str]:
    return "-k", " and ".join(f"not {name}" for name in names)


SUITES = (
    Suite(
        "psycopg2",
        "psycopg2",
        ("tests",),
        ("tests", *_without("test_suite")),  # which is unittest's way in
        _psycopg2,
        extensions=("hstore",),
    ),
    Suite(
        "psycopg",
        "psycopg",
        ("tests", "pyproject.toml"),
        # Those for CockroachDB, for type checking and of the repository's scripts are not about
        # connections. Those for leaks repeat what others do, for seconds each; those that measure
        # time fail on a busy machine (conftest.py there says so).
        (
            "tests",
            *("--ignore=tests/crdb", "--ignore=tests/scripts", "--ignore=tests/test_typing.py"),
            *_without("leak"),
            *("-m", "not timing"),
        ),
        _psycopg,
        replaced=(("tools/pproxy_fix.py", "tunnel.py"),),
    ),
    Suite(
        "asyncpg",
        "asyncpg",
        ("tests", "pyproject.toml"),
        ("tests", "--ignore=tests/test__sourcecode.py", "--ignore=tests/test__environment.py"),
        _asyncpg,
        database="postgres",  # which some of its tests connect to by name
    ),
    *(_sqlalchemy(driver) for driver in ("psycopg2", "psycopg", "psycopg_async", "asyncpg")),
)
