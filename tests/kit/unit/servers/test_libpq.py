"""URLs of any driver, for libpq and back."""

from __future__ import annotations

import pytest
from sqlalchemy.engine import make_url

from pgsandbox.errors import ConfigurationError
from pgsandbox.servers import libpq


@pytest.mark.parametrize(
    ("given", "normalised"),
    [
        ("postgresql://app@db/shop", "postgresql+psycopg2://app@db/shop"),
        ("postgresql+psycopg://db:5433/shop", "postgresql+psycopg2://db:5433/shop"),
        (
            "postgresql+asyncpg://db/shop?ssl=require",
            "postgresql+psycopg2://db/shop?sslmode=require",
        ),
        ("postgresql+asyncpg://db/shop?ssl=True", "postgresql+psycopg2://db/shop?sslmode=require"),
        ("postgresql+asyncpg://db/shop?ssl=false", "postgresql+psycopg2://db/shop?sslmode=disable"),
        ("postgresql://db/?ssl=true&sslmode=allow", "postgresql+psycopg2://db/?sslmode=allow"),
        ("postgresql+asyncpg://db/?command_timeout=5", "postgresql+psycopg2://db/"),
        ("postgresql+psycopg://db/?prepare_threshold=0", "postgresql+psycopg2://db/"),
        ("postgresql://db/?user=app&dbname=shop", "postgresql+psycopg2://app@db/shop"),
        (
            "postgresql:///shop?host=/run/postgresql&options=-c%20jit%3Doff",
            "postgresql+psycopg2:///shop?host=%2Frun%2Fpostgresql&options=-c+jit%3Doff",
        ),
        (
            "postgresql:///shop?host=a:1&host=b:2",
            "postgresql+psycopg2:///shop?host=a%3A1&host=b%3A2",
        ),
    ],
)
def test_a_url_of_any_driver_becomes_one_for_psycopg2(given: str, normalised: str) -> None:
    """Server, role, database and libpq's options stay; another driver's options go."""
    assert str(libpq.normalised(make_url(given))) == normalised


def test_another_dialect_is_a_configuration_error() -> None:
    """There is no sandbox for it."""
    with pytest.raises(ConfigurationError, match='"mysql" is not a PostgreSQL dialect'):
        libpq.normalised(make_url("mysql://app:secret@db/shop"))


def test_asyncpg_gets_the_options_that_it_knows() -> None:
    """It raises TypeError for every other one."""
    url = make_url("postgresql+psycopg2:///shop?host=/run&port=5433&sslmode=require&options=-cx=1")
    translated = libpq.for_driver(url, "postgresql+asyncpg")

    assert translated.drivername == "postgresql+asyncpg"
    assert translated.query == {"host": "/run", "port": "5433", "ssl": "require"}


def test_psycopg_gets_all_options() -> None:
    """It hands them to libpq."""
    url = make_url("postgresql+psycopg2:///shop?host=/run&options=-cx=1")

    assert libpq.for_driver(url, "postgresql+psycopg").query == url.query


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:secret@db/shop",
        "postgresql://app@db/shop?password=secret",
        "postgresql://app@db/shop?sslpassword=secret",
    ],
)
def test_a_masked_url_has_no_password(url: str) -> None:
    """Wherever it stands."""
    shown = libpq.masked(make_url(url))

    assert "secret" not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"host": "db", "port": 5433}, "db:5433"),
        ({"host": "db"}, "db:5432"),
        ({"host": "/run/postgresql"}, "/run/postgresql"),
        ({}, "libpq's default socket"),
    ],
)
def test_a_place_is_named_in_words(arguments: dict[str, object], words: str) -> None:
    """Headlines say where something is, without role or database."""
    assert libpq.place(arguments) == words
