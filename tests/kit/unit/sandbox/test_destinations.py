"""Where a connection to a real database goes: where the server's URL leads, whoever asked."""

import pytest
from sqlalchemy import make_url

from pgsandbox.sandbox.rewriting import asyncpg, destination_of, libpq

ASKED = {"host": "db.example.org", "port": 5432, "user": "app", "password": "pw", "dbname": "shop"}


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql+psycopg2:///shop_test", {}),
        ("postgresql+psycopg2:///shop_test?service=ci", {"service": "ci"}),
        ("postgresql+psycopg://a@h:1/shop_test", {"host": "h", "port": "1", "user": "a"}),
        (
            "postgresql+psycopg2://a:b@/shop_test?host=h:1&host=g:2",
            {"host": "h,g", "port": "1,2", "user": "a", "password": "b"},
        ),
        (
            "postgresql+psycopg2://a@/shop_test?host=/run/pg&port=7",
            {"host": "/run/pg", "port": "7", "user": "a"},
        ),
        (
            "postgresql+asyncpg://a@h/shop_test?ssl=require",
            {"host": "h", "user": "a", "sslmode": "require"},
        ),
    ],
    ids=["variables", "service", "psycopg", "two hosts", "socket", "asyncpg's ssl"],
)
def test_libpq_finds_out_what_the_url_leaves_open(url, told):
    """By its variables and services, as for everybody; nothing of what was asked is left."""
    given = libpq(ASKED, destination_of(make_url(url)))

    assert given == {"dbname": "shop_test", **told}


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql+asyncpg:///shop_test", {}),
        (
            "postgresql+asyncpg://a:b@/shop_test?host=h:1&host=g:2",
            {"host": ["h", "g"], "port": [1, 2], "user": "a", "password": "b"},
        ),
        (
            "postgresql+asyncpg://a@h/shop_test?ssl=require",
            {"host": "h", "user": "a", "ssl": "require"},
        ),
    ],
    ids=["variables", "two hosts", "ssl"],
)
def test_asyncpg_is_told_in_its_own_words(url, told):
    """Lists of several hosts and ports, ssl for sslmode."""
    given = asyncpg({"host": "db.example.org", "timeout": 3}, destination_of(make_url(url)))

    assert given == {"database": "shop_test", "timeout": 3, **told}
