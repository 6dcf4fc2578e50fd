"""The guard's rules: what may be shown, where a call connects, and what is ours."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from pgsandbox.guard import (
    Mark,
    Target,
    creation_limit,
    is_ours,
    is_same_database,
    masked,
    target_of,
)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://app:s3cret@db/shop", "postgresql://app:***@db/shop"),
        (
            "postgresql+psycopg2://app:s3cret@[::1]:5432/shop",
            "postgresql+psycopg2://app:***@[::1]:5432/shop",
        ),
        ("postgresql://app:p%40ss@db:5432/shop", "postgresql://app:***@db:5432/shop"),
        ("postgresql://app:p@ss@db/shop", "postgresql://app:***@db/shop"),
        ("postgresql://app:p/a@ss@db/shop", "postgresql://app:***@db/shop"),
        ("postgresql://app:p?a#s&s@db/shop", "postgresql://app:***@db/shop"),
        ("postgresql://app:p:a:ss@db/shop", "postgresql://app:***@db/shop"),
        ("postgresql://app:s3 cret@db/shop", "postgresql://app:***@db/shop"),
        ("postgresql://:s3cret@db/shop", "postgresql://:***@db/shop"),
        ("postgresql://me@corp:s3cret@db/shop", "postgresql://me@corp:***@db/shop"),
        ("postgresql://app:s3cret@a:1,b:2/shop", "postgresql://app:***@a:1,b:2/shop"),
        ("postgresql://app:s3cret@/shop?host=/run", "postgresql://app:***@/shop?host=/run"),
        (
            "postgresql://db/shop?user=app&password=s3cret",
            "postgresql://db/shop?user=app&password=***",
        ),
        (
            "postgresql://db/shop?password=s3&cret&user=app",
            "postgresql://db/shop?password=***&user=app",
        ),
        ("postgresql://db/shop?p%61ssword=s3cret", "postgresql://db/shop?p%61ssword=***"),
        ("postgresql://db/shop?PASSWORD=s3cret", "postgresql://db/shop?PASSWORD=***"),
        (
            "postgresql://db/shop?sslpassword=s3cret&sslmode=require",
            "postgresql://db/shop?sslpassword=***&sslmode=require",
        ),
        (
            "postgresql://db/shop?oauth_client_secret=s3cret",
            "postgresql://db/shop?oauth_client_secret=***",
        ),
        (
            "jdbc:postgresql://db/shop?user=app&password=s3cret",
            "jdbc:postgresql://db/shop?user=app&password=***",
        ),
        ("app:s3cret@db/shop", "app:***@db/shop"),
        ("postgresql:/app:s3cret@db/shop", "postgresql:/app:***@db/shop"),
        ("host=db password=s3cret dbname=shop", "host=db password=*** dbname=shop"),
        ("host=db password = 's3 cret' dbname=shop", "host=db password = *** dbname=shop"),
        (r"host=db password='s3\' cret' dbname=shop", "host=db password=*** dbname=shop"),
        (r"password=s3\ cret dbname=shop", "password=*** dbname=shop"),
        ("password=s3 cret dbname=shop", "password=*** dbname=shop"),
        ("dbname=shop password='s3 cret user=x", "dbname=shop password=***"),
        ("dbname=shop sslpassword=s3cret", "dbname=shop sslpassword=***"),
        ("PGPASSWORD=s3cret psql", "PGPASSWORD=***"),
        ("alter role app password 's3''cret' createdb", "alter role app password *** createdb"),
        ("alter role app PASSWORD E's3cret' createdb", "alter role app PASSWORD *** createdb"),
        ("alter role app password $x$s3cret$x$ createdb", "alter role app password *** createdb"),
        ("alter role app password 's3cr", "alter role app password ***"),
    ],
)
def test_a_password_is_hidden_in_every_spelling(url, shown):
    """Three stars stand for the password, and the rest can still be read."""
    assert masked(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "@",
        ":",
        "://",
        "://:@",
        "shop",
        "postgresql://",
        "postgresql://db",
        "postgresql://db:5432/shop",
        "postgresql://app@db:5432/shop",
        "postgresql:///shop?host=/run&port=5433",
        "postgresql://app:***@db/shop",
        "host=db port=5432 dbname=shop",
        "sqlite:///shop.db",
        "select id::text from users where tags @> '{a}'",
        "password authentication failed for user app",
        "\x00\ud800",
    ],
)
def test_what_has_no_password_is_shown_as_it_is(url):
    """Nothing is hidden where there is nothing to hide, and nothing raises."""
    assert masked(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app@db:5432/shop?password=s3@cret",
        "postgresql://app:s3?pass=cret@db/shop",
        "postgresql://db/shop?password=s3://cret:s3@cret",
        "host=db password=s3://cret:s3@cret",
        "host=db password='s3@cret",
        "postgresql://app:s3@cret/s3?cret=s3@db",
        "postgresql://app:s3=cret@db/shop?password=cret:s3@cret",
    ],
)
def test_doubt_hides_too_much_instead_of_too_little(url):
    """No part of a password is shown, however its delimiters are placed."""
    shown = masked(url)

    assert "s3" not in shown
    assert "cret" not in shown


def test_masking_twice_changes_nothing():
    """A masked URL is safe to be masked again on its way to a message."""
    once = masked("postgresql://app:p@ss@db/shop?password=x y&sslpassword=z")

    assert masked(once) == once


@pytest.mark.parametrize(
    ("args", "parameters", "target"),
    [
        # SQLAlchemy to psycopg2 and psycopg
        (
            (),
            {"host": "db", "dbname": "shop", "user": "app", "password": "x", "port": 5433},
            Target("db", 5433, "shop", "app"),
        ),
        ((), {"host": "db", "dbname": "shop", "port": "5433"}, Target("db", 5433, "shop")),
        ((), {"host": "/run", "dbname": "shop"}, Target("/run", 5432, "shop")),
        (("",), {}, Target(None, 5432, None)),
        # SQLAlchemy to asyncpg
        (
            (),
            {"host": "db", "database": "shop", "user": "app", "port": 5433},
            Target("db", 5433, "shop", "app"),
        ),
        ((), {"host": ["db"], "port": [5433], "database": "shop"}, Target("db", 5433, "shop")),
        ((), {"host": "/run/.s.PGSQL.5433", "database": "shop"}, Target("/run", 5433, "shop")),
        # connection strings
        (("host=db port=5433 dbname=shop user=app",), {}, Target("db", 5433, "shop", "app")),
        (("host = db  dbname='my shop' password='it\\'s'",), {}, Target("db", 5432, "my shop")),
        ((r"host=db dbname=my\ shop\\x",), {}, Target("db", 5432, r"my shop\x")),
        (("host=db dbname=a dbname=b",), {}, Target("db", 5432, "b")),
        (
            ("host=db dbname='",),
            {},
            Target(None, 5432, None, unknown="the connection string can't be read"),
        ),
        (("host=db dbname=shop",), {"dbname": "other"}, Target("db", 5432, "other")),
        (
            ("host=db dbname=shop",),
            {"database": "other", "user": None},
            Target("db", 5432, "other"),
        ),
        ((), {"dsn": "host=db dbname=shop"}, Target("db", 5432, "shop")),
        ((), {"conninfo": "postgresql://app:x@db:5433/shop"}, Target("db", 5433, "shop", "app")),
        ((None,), {"dbname": "shop", "host": "db"}, Target("db", 5432, "shop")),
        (("postgres://db",), {"user": "app"}, Target("db", 5432, "app", "app")),
        (("postgresql://a%40b:x@db/my%20shop",), {}, Target("db", 5432, "my shop", "a@b")),
        (("postgresql://%2Frun:5433/shop",), {}, Target("/run", 5433, "shop")),
        (("postgresql://[::1]:5433/shop",), {}, Target("::1", 5433, "shop")),
        (("postgresql:///shop?host=/run&port=5433",), {}, Target("/run", 5433, "shop")),
        (("postgresql://db/%5Bshop%5D",), {}, Target("db", 5432, "[shop]")),
        (("postgresql://db/shop?dbname=other&host=else",), {}, Target("else", 5432, "other")),
        (("postgresql://db/shop?hostaddr=10.0.0.1",), {}, Target("10.0.0.1", 5432, "shop")),
        # defaults
        ((), {"host": "db", "user": "app"}, Target("db", 5432, "app", "app")),
        ((), {"host": "db", "user": "app", "dbname": ""}, Target("db", 5432, "app", "app")),
        ((), {"host": "db", "dbname": "shop", "port": ""}, Target("db", 5432, "shop")),
        (
            (),
            {"host": "db", "hostaddr": "10.0.0.1", "dbname": "shop"},
            Target("10.0.0.1", 5432, "shop"),
        ),
        ((), {"host": "@abstract", "dbname": "shop"}, Target("@abstract", 5432, "shop")),
        ((), {"host": "db"}, Target("db", 5432, None)),
    ],
)
def test_the_target_is_read_from_every_form_of_arguments(args, parameters, target):
    """Strings, URLs and keywords of the three drivers say where they go, as libpq reads them."""
    assert target_of(args, parameters, {}) == target


@pytest.mark.parametrize(
    ("parameters", "environ", "target"),
    [
        (
            {},
            {"PGHOST": "db", "PGPORT": "5433", "PGDATABASE": "shop", "PGUSER": "app"},
            Target("db", 5433, "shop", "app"),
        ),
        ({}, {"PGHOST": "db", "PGUSER": "app"}, Target("db", 5432, "app", "app")),
        (
            {"host": "a", "dbname": "b"},
            {"PGHOST": "db", "PGDATABASE": "shop"},
            Target("a", 5432, "b"),
        ),
        (
            {"host": "a", "port": 1, "dbname": "b", "user": "c"},
            {"PGPORT": "5433", "PGUSER": "d"},
            Target("a", 1, "b", "c"),
        ),
        (
            {"host": "a", "dbname": ""},
            {"PGDATABASE": "shop", "PGUSER": "app"},
            Target("a", 5432, "app", "app"),
        ),
        ({"dbname": "shop"}, {"PGHOST": "", "PGPORT": ""}, Target(None, 5432, "shop")),
        (
            {"host": "localhost", "dbname": "shop"},
            {"PGHOSTADDR": "127.0.0.1"},
            Target("127.0.0.1", 5432, "shop"),
        ),
    ],
)
def test_variables_fill_in_what_the_call_leaves_out(parameters, environ, target):
    """PGHOST, PGHOSTADDR, PGPORT, PGDATABASE and PGUSER count as they do for libpq."""
    assert target_of((), parameters, environ) == target


@pytest.mark.parametrize(
    ("args", "parameters", "environ", "reason"),
    [
        ((), {"service": "prod"}, {}, 'the argument "service" decides'),
        (("service=prod dbname=shop",), {}, {}, 'the argument "service" decides'),
        (("postgresql://db/shop?service=prod",), {}, {}, 'the argument "service" decides'),
        (
            (),
            {"host": "db", "dbname": "shop"},
            {"PGSERVICE": "prod"},
            "the service of PGSERVICE decides",
        ),
        ((), {"async_creator_fn": print}, {}, 'the argument "async_creator_fn" decides'),
        ((), {"host": "a,b", "dbname": "shop"}, {}, "host has several values"),
        ((), {"host": ["a", "b"], "dbname": "shop"}, {}, "host has several values"),
        ((), {"host": "a", "port": "1,2", "dbname": "shop"}, {}, "port has several values"),
        (
            (),
            {"hostaddr": "10.0.0.1,10.0.0.2", "dbname": "shop"},
            {},
            "hostaddr has several values",
        ),
        ((), {"dbname": "shop"}, {"PGHOST": "a,b"}, "host has several values"),
        (
            (),
            {"host": "", "dbname": "shop"},
            {"PGHOST": "db"},
            "the host is empty, and PGHOST is set",
        ),
        (
            (),
            {"host": "a", "dbname": "x"},
            {"PGHOSTADDR": "10.0.0.1"},
            "PGHOSTADDR names another address than the host",
        ),
        (
            (),
            {"dbname": "x"},
            {"PGHOSTADDR": "10.0.0.1"},
            "PGHOSTADDR names another address than the host",
        ),
        ((), {"host": "a", "port": "five", "dbname": "shop"}, {}, "the port is not a number"),
        ((), {"dbname": "a", "database": "b"}, {}, "dbname and database are both given"),
        (("dbname=a",), {"dsn": "dbname=b"}, {}, "more than one connection string is given"),
        ((b"dbname=a",), {}, {}, "the connection string is no text"),
        (("shop",), {}, {}, "the connection string can't be read"),
        (("postgresql+psycopg2://db/shop",), {}, {}, "the connection string can't be read"),
        (("postgresql://a:1,b:2/shop",), {}, {}, "port has several values"),
        (("postgresql://a,b/shop",), {}, {}, "host has several values"),
        (
            ("postgresql://app:p@ss@db/shop",),
            {},
            {},
            "the connection URL is ambiguous, or names several hosts",
        ),
        (
            ("postgresql://app:p?ss@db/shop",),
            {},
            {},
            "the connection URL is ambiguous, or names several hosts",
        ),
    ],
)
def test_a_target_that_cannot_be_told_says_why_and_matches_nothing(
    args, parameters, environ, reason
):
    """A doubt about where a call goes is an answer of its own, and never "the same"."""
    target = target_of(args, parameters, environ)

    assert target.unknown == reason
    assert not is_same_database(target, target)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Target("db", 5432, "shop"), Target("db", 5432, "shop")),
        (Target("db", 5432, "shop", "app"), Target("db", 5432, "shop", "admin")),
        (Target("DB.Example.org", 5432, "shop"), Target("db.example.org.", 5432, "shop")),
        (Target("localhost", 5432, "shop"), Target("127.0.0.1", 5432, "shop")),
        (Target("LocalHost", 5432, "shop"), Target("::1", 5432, "shop")),
        (Target("[::1]", 5432, "shop"), Target("0:0:0:0:0:0:0:1", 5432, "shop")),
        (Target("::ffff:127.0.0.1", 5432, "shop"), Target("127.0.0.1", 5432, "shop")),
        (Target("FE80::1", 5432, "shop"), Target("fe80:0::1", 5432, "shop")),
        (Target("/run", 5432, "shop"), Target("//run/./", 5432, "shop")),
        (Target("@x", 5432, "shop"), Target("@x", 5432, "shop")),
        (Target(None, 5432, "shop"), Target(None, 5432, "shop")),
        (Target("db", 5432, "x" * 63), Target("db", 5432, "x" * 64)),
        (Target("db", 5432, "ü" * 31 + "ab"), Target("db", 5432, "ü" * 31 + "ac")),
    ],
)
def test_spellings_of_one_database_are_the_same(a, b):
    """What the operating system and the server read alike is one database."""
    assert is_same_database(a, b)
    assert is_same_database(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Target("db", 5432, "shop"), Target("db", 5432, "Shop")),
        (Target("db", 5432, "shop"), Target("db", 5433, "shop")),
        (Target("db", 5432, "shop"), Target("db2", 5432, "shop")),
        (Target("db", 5432, "shop"), Target("db.example.org", 5432, "shop")),
        (Target("localhost", 5432, "shop"), Target("/run", 5432, "shop")),
        (Target("localhost", 5432, "shop"), Target(None, 5432, "shop")),
        (Target("/run", 5432, "shop"), Target(None, 5432, "shop")),
        (Target("127.0.0.1", 5432, "shop"), Target("127.0.0.2", 5432, "shop")),
        (Target("127.0.0.1", 5432, "shop"), Target("0.0.0.0", 5432, "shop")),  # noqa: S104 - compared
        (Target("/run", 5432, "shop"), Target("/RUN", 5432, "shop")),
        (Target("/run/a/../b", 5432, "shop"), Target("/run/b", 5432, "shop")),
        (Target("/run", 5432, "shop"), Target("@/run", 5432, "shop")),
        (Target("/run", 5432, "shop"), Target("run", 5432, "shop")),
        (Target("@x", 5432, "shop"), Target("@X", 5432, "shop")),
        (Target("db", 5432, None), Target("db", 5432, None)),
        (Target("db", 5432, ""), Target("db", 5432, "")),
        (Target("db", 5432, "shop"), Target("db", 5432, "shop ")),
        (Target("db", 5432, "x" * 62 + "y"), Target("db", 5432, "x" * 63)),
        (Target("db", 5432, "é"), Target("db", 5432, "e\u0301")),
    ],
)
def test_doubt_makes_two_databases(a, b):
    """Whatever may be another database counts as another one."""
    assert not is_same_database(a, b)
    assert not is_same_database(b, a)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (Target("db", 5432, "shop", "app"), "db:5432/shop"),
        (Target(None, 5432, None), "the driver's default host:5432/"),
        (Target(None, 5432, None, unknown="a reason"), "unknown (a reason)"),
    ],
)
def test_a_target_reads_like_the_end_of_a_url(target, text):
    """Messages show host, port and database, or why they can't."""
    assert str(target) == text


MARK = Mark(
    database="Größe_test",
    oid=16401,
    server="7710460080324119837",
    owner="/srv/shop",
    created="2026-01-02T03:04:05+00:00",
)


def test_a_mark_survives_the_way_through_a_comment():
    """What is written is what is read, in plain ASCII, whatever the server's encoding."""
    comment = MARK.encode()

    assert comment.startswith("pgsandbox 1 {")
    assert comment.isascii()
    assert Mark.decode(comment) == MARK


def test_a_mark_of_the_very_database_makes_it_ours():
    """Name, oid and server all agree."""
    assert is_ours(MARK.encode(), MARK.database, MARK.oid, MARK.server)
    assert is_ours(MARK.encode(), MARK.database, MARK.oid)


@pytest.mark.parametrize(
    ("name", "oid", "server"),
    [
        ("renamed", MARK.oid, MARK.server),
        (MARK.database.upper(), MARK.oid, MARK.server),
        (MARK.database, MARK.oid + 1, MARK.server),
        (MARK.database, MARK.oid, "another server"),
        (MARK.database, MARK.oid, ""),
    ],
)
def test_a_mark_is_worth_nothing_on_another_database(name, oid, server):
    """A renamed database, a restored copy and a pasted comment are not ours."""
    assert not is_ours(MARK.encode(), name, oid, server)


def _spoilt(**changes):
    return f"pgsandbox 1 {json.dumps(asdict(MARK) | changes)}"


@pytest.mark.parametrize(
    "comment",
    [
        None,
        "",
        "our test database",
        "pgsandbox",
        "pgsandbox 1",
        "pgsandbox 1 ",
        "pgsandbox 1 {",
        "pgsandbox 1 []",
        "pgsandbox 1 null",
        "pgsandbox 1 {}",
        "pgsandbox 1 " + "[" * 100_000,
        MARK.encode().replace("pgsandbox 1", "pgsandbox 2"),
        " " + MARK.encode(),
        MARK.encode() + " and a remark",
        _spoilt(oid="16401"),
        _spoilt(oid=True),
        _spoilt(oid=16401.0),
        _spoilt(is_kept=0),
        _spoilt(database=None),
        _spoilt(further="field"),
    ],
)
def test_anything_else_is_no_mark(comment):
    """A comment that isn't exactly a mark of ours proves nothing, and never raises."""
    assert Mark.decode(comment) is None
    assert not is_ours(comment, MARK.database, MARK.oid)


def test_a_kept_mark_says_so():
    """Keeping a database is written in its mark."""
    kept = Mark.decode(replace(MARK, is_kept=True).encode())

    assert kept is not None
    assert kept.is_kept


def test_the_creation_limit_is_a_limit_that_nobody_else_sets():
    """PostgreSQL takes it as a connection limit, and it is beyond every max_connections."""
    limit = creation_limit("shop_test")

    assert 262_143 < limit < 2**31


def test_the_creation_limit_belongs_to_one_name():
    """A database that was renamed, in case only even, does not bear the limit of its new name."""
    assert creation_limit("shop_test") == creation_limit("shop_test")
    assert creation_limit("shop_test") != creation_limit("Shop_test")
