"""What is hidden of a text, and what is left to be read."""

from __future__ import annotations

import pytest

from pgsandbox.guard import masked, masked_sql


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://app:hun@ter2@db/shop", "postgresql://app:***@db/shop"),
        ("postgresql+psycopg2//app:hunter2@db/shop", "postgresql+psycopg2//app:***@db/shop"),
        ("postgresql://app:hunter2%40db/shop", "postgresql://app:***%40db/shop"),
        ("postgresql://app:hunter2%2540db/shop", "postgresql://app:***%2540db/shop"),
        ("postgresql://app:hun@ter2%40db/shop", "postgresql://app:***%40db/shop"),
        ("postgresql://app/hunter2@db/shop", "postgresql://app/***@db/shop"),
        ("postgresql://app:hunter2/shop", "postgresql://app:***/shop"),
        ("://app:hunter2@db/shop", "://app:***@db/shop"),
        ("//app:hunter2@db/shop", "//app:***@db/shop"),
        ("me@corp:hunter2@db/shop", "me@corp:***@db/shop"),
        ("app:hunter2@db:/shop?next=http://x", "app:***@db:/shop?next=http://x"),
        (
            "postgresql://app@db/shop?options=-c%20x.password%3Dhunter2&sslmode=require",
            "postgresql://app@db/shop?options=***&sslmode=require",
        ),
        ("host=db options='-c x.password=hunter2' user=app", "host=db options=*** user=app"),
        (
            "RuntimeError: no postgresql://app:hun ter2@db/shop",
            "RuntimeError: no postgresql://app:***@db/shop",
        ),
        (
            "ValueError: invalid literal for int() with base 10: 'hunter2'",
            "ValueError: invalid literal for int() with base 10: ***",
        ),
        (
            'could not translate host name "ter2@db" to address',
            'could not translate host name "***@db" to address',
        ),
        ("{'user': 'app', 'password': 'hunter2'}", "{'user': 'app', 'password***'}"),
        (
            "sqlite+pysqlcipher:///shop.db?key=hunter2&cipher=aes",
            "sqlite+pysqlcipher:///shop.db?key=***&cipher=aes",
        ),
        ("sqlite:///shop.db?hexkey=2DD29CA8", "sqlite:///shop.db?hexkey=***"),
    ],
)
def test_what_people_write_for_a_url_is_shown_without_its_password(url, shown):
    """From the first colon after the scheme to the last @, or to what was written for it."""
    assert masked(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db:5432,other:5433/shop",
        "postgresql://db:$PGPORT/shop",
        "postgresql://[::1]:5432/shop",
        "sqlite:////srv/shop.db",
        "app.database:Base",
        "alembic.ini:billing",
        "C:/srv/shop",
        "KeyError: 'DATABASE_URL'",
    ],
)
def test_ports_and_names_are_shown(url):
    """A colon alone is no password's."""
    assert masked(url) == url


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("create role a password 'hunter2' createdb", "create role a password *** createdb"),
        ("create role a password'hun''ter2'", "create role a password***"),
        ("alter role a password 'hun'\n'ter2'", "alter role a password ***"),
        ("alter role a password E'hun\\'ter2' login", "alter role a password ***"),
        ("alter role a password U&'hunter2' login", "alter role a password *** login"),
        ("alter role a password $p$hunter2$p$ login", "alter role a password *** login"),
        ("alter role a password 'hunt", "alter role a password ***"),
        ("alter role a password /* new */ 'hunter2'", "alter role a password /* new */ ***"),
        (
            "do $$ begin execute format('alter role a password %L', 'hunter2'); end $$",
            "do $$ begin execute format('alter role a password %L', ***",
        ),
        ("set app.secret to 'hunter2'", "set app.secret to ***"),
        ("update users set password = $p$hun'ter2$p$", "update users set password = ***"),
        ("update users set password = $p$hun'ter", "update users set password = ***"),
        ("set app.secret = hunter2", "set app.secret = ***"),
        ("set app.api_key to hunter2", "set app.api_key to ***"),
        (
            "select set_config('app.api_key', 'hunter2', true)",
            "select set_config('app.api_key', ***, true)",
        ),
        (
            "select set_config('app.signing-key', $1, true)",
            "select set_config('app.signing-key', $1, true)",
        ),
        (
            "insert into cards values (pgp_sym_encrypt('4711', 'hunter2'))",
            "insert into cards values (pgp_sym_encrypt(***))",
        ),
        ("set local app.secret to hunter2; show x", "set local app.secret to ***; show x"),
        (
            "create foreign data wrapper w options (\"password\" 'hunter2')",
            'create foreign data wrapper w options ("password" ***)',
        ),
        (
            "create user mapping for a server s options (user 'a', password 'hunter2')",
            "create user mapping for a server s options (user 'a', password ***)",
        ),
        (
            "create subscription s connection 'host=db password=hunter2 user=a' publication p",
            "create subscription s connection 'host=db password=*** user=a' publication p",
        ),
        (
            "select dblink_connect('postgresql://a:hunter2@db/shop')",
            "select dblink_connect('postgresql://a:***@db/shop')",
        ),
    ],
)
def test_a_statement_is_shown_without_the_passwords_in_it(statement, shown):
    """However they are quoted, and where the text was cut."""
    assert masked_sql(statement) == shown


@pytest.mark.parametrize(
    "statement",
    [
        "select id::text from users where tags @> '{a}'",
        "select count(*) from users where email = 'ada@example.org'",
        "select users.password from users where users.id = %(id_1)s",
        "update users set password = %(password)s where id = $1",
        "create table users (id int, password text not null, name text default 'x')",
        "select value from settings where key = 'theme'",
        "select pgp_sym_decrypt(number, $1) from cards",
        "insert into users (name, password) values ($1, $2)",
        "comment on role a is 'x'",
        'password authentication failed for user "shop"',
    ],
)
def test_other_statements_are_shown_as_they_are(statement):
    """They are what a failing test is understood by."""
    assert masked_sql(statement) == statement
