"""Databases are made and dropped by their mark only, and within time limits."""

from __future__ import annotations

from contextlib import closing

import pytest

from pgsandbox.databases import admin, administration, pg_database
from pgsandbox.databases.limits import Limits, limited
from pgsandbox.errors import (
    AdministrationBlocked,
    DatabaseError,
    MayNotCreateDatabases,
    NotATestDatabase,
    ServerError,
)
from pgsandbox.guard import Mark, creation_limit
from tests.kit.integration.databases.conftest import HURRIED

TRICKY_NAMES = [
    "Shop_Test",
    "my shop_test",
    'a"b_test',
    "it's_test",
    "100%s_test",
    "back\\slash_test",
    "größe_🐘_test",
    "semi;drop database postgres;--_test",
    "a/b?c=d&e@f:g_test",
    "ü" * 29 + "_test",
]


def told(error):
    """The text of a caught error, its table's columns closed up."""
    return " ".join(str(error.value).split())


def made(connection, name):
    """Create and mark *name*; the oid."""
    oid = admin.create(connection, name)
    admin.mark(connection, name, oid)
    return oid


def test_a_database_is_created_marked_and_dropped(server, connection):
    """The mark names the very database, and nothing is left after the drop."""
    oid = admin.create(connection, "shop_test")
    mark = admin.mark(connection, "shop_test", oid, owner="/srv/shop")

    assert admin.read_mark(connection, "shop_test") == mark
    assert (mark.database, mark.oid, mark.owner) == ("shop_test", oid, "/srv/shop")
    assert admin.exists(connection, "shop_test")
    assert admin.drop(connection, "shop_test")
    assert server.databases() == set()
    assert not admin.exists(connection, "shop_test")
    assert not admin.drop(connection, "shop_test")


@pytest.mark.parametrize("name", TRICKY_NAMES)
def test_any_name_is_one_name(server, connection, name):
    """Case, quotes, percent signs, semicolons and all of Unicode are part of the name."""
    made(connection, name)

    assert server.databases() == {name}
    assert server.run("select current_database()", database=name) == [(name,)]
    assert admin.read_mark(connection, name).database == name
    assert admin.drop(connection, name)
    assert server.databases() == set()


@pytest.mark.parametrize("name", ["", "x" * 64, "ü" * 32, "a\0b", "a\udcff"])
def test_a_name_that_the_server_would_change_is_refused(server, connection, name):
    """The server cuts long names without an error; another database would be made."""
    with pytest.raises(DatabaseError, match="can't be the name of a database"):
        admin.create(connection, name)

    assert server.databases() == set()
    assert not admin.exists(connection, name)


def test_a_name_is_not_looked_up_cut_to_length(server, connection):
    """A name of 64 bytes is not the database of its first 63."""
    made(connection, "x" * 63)

    assert not admin.exists(connection, "x" * 64)
    assert not admin.drop(connection, "x" * 64)
    assert server.databases() == {"x" * 63}


def test_a_new_database_is_empty_speaks_utf_8_and_runs_without_jit(server, connection):
    """It comes from template0, so that what stands in template1 is not in it."""
    server.run("create table stray ()", database="template1")
    made(connection, "shop_test")
    server.run("drop table stray", database="template1")

    rows = server.run(
        "select current_setting('server_encoding'), current_setting('jit'), to_regclass('stray')",
        database="shop_test",
    )
    assert rows == [("UTF8", "off", None)]
    ((limit,),) = server.run("select datconnlimit from pg_database where datname = 'shop_test'")
    assert limit > 262_143  # the most that max_connections can be


def test_a_database_between_creation_and_mark_is_recognised(server, connection):
    """A run killed right after CREATE DATABASE leaves one that is ours, and unfinished."""
    admin.create(connection, "shop_test")

    entry = pg_database.find(connection, "shop_test")
    assert entry.is_unfinished
    assert entry.is_ours
    assert entry.mark is None
    assert admin.drop(connection, "shop_test")


def test_a_database_that_exists_is_not_created(server, connection):
    """The caller is told, whoever made it, and it stays as it was."""
    server.run("create database shop_test")

    assert admin.create(connection, "shop_test") is None
    assert server.databases() == {"shop_test"}


def unmarked(server, connection):
    """A database of somebody else whose name looks like one of ours."""
    server.run("create database shop_test")


def commented(server, connection):
    """A database with somebody else's comment."""
    server.run("create database shop_test")
    server.run("comment on database shop_test is 'pgsandbox 1 of the sales team'")


def renamed(server, connection):
    """A database of ours that somebody gave another name, to keep it."""
    made(connection, "other_test")
    server.run("alter database other_test rename to shop_test")


def renamed_unfinished(server, connection):
    """A database that was renamed before it was marked."""
    admin.create(connection, "other_test")
    server.run("alter database other_test rename to shop_test")


def pasted(server, connection):
    """A database on which somebody put the comment of one of ours."""
    oid = made(connection, "other_test")
    comment = pg_database.find(connection, "other_test").comment
    admin.drop(connection, "other_test", oid=oid)
    server.run("create database shop_test")
    server.run(f"comment on database shop_test is '{comment}'")


def restored(server, connection):
    """A copy under the same name: pg_dump --create copies the comment, and the limit."""
    made(connection, "shop_test")
    comment = pg_database.find(connection, "shop_test").comment
    server.run("drop database shop_test")
    server.run(f"create database shop_test connection limit {creation_limit('shop_test')}")
    server.run(f"comment on database shop_test is '{comment}'")


def restored_elsewhere(server, connection):
    """A copy on another server, which happens to give it the same oid."""
    server.run("create database shop_test")
    oid = pg_database.find(connection, "shop_test").oid
    mark = Mark(database="shop_test", oid=oid, server="7000000000000000000")
    server.run(f"comment on database shop_test is '{mark.encode()}'")


def limited_by_others(server, connection):
    """A database with a connection limit of its owner's choice."""
    server.run("create database shop_test connection limit 1500000000")


def template(server, connection):
    """Somebody's template."""
    server.run("create database shop_test is_template true allow_connections false")


FOREIGN = [
    unmarked,
    commented,
    renamed,
    renamed_unfinished,
    pasted,
    restored,
    restored_elsewhere,
    limited_by_others,
    template,
]


@pytest.mark.parametrize("prepare", FOREIGN)
def test_what_we_did_not_make_is_neither_dropped_nor_marked(server, connection, prepare):
    """Only a mark that names this very database counts, and without it nothing is done."""
    prepare(server, connection)
    before = server.run("select * from pg_database where datname = 'shop_test'")
    entry = pg_database.find(connection, "shop_test")

    with pytest.raises(NotATestDatabase):
        admin.drop(connection, "shop_test")
    with pytest.raises(NotATestDatabase):
        admin.mark(connection, "shop_test", entry.oid)
    assert server.run("select * from pg_database where datname = 'shop_test'") == before
    assert pg_database.find(connection, "shop_test") == entry
    assert not entry.is_ours
    assert pg_database.find_ours(connection) == []


def test_the_refusal_names_the_database_and_what_its_comment_says(server, connection):
    """The reader sees where the database is, and why its mark doesn't count."""
    renamed(server, connection)

    with pytest.raises(NotATestDatabase) as refusal:
        admin.drop(connection, "shop_test")
    text = told(refusal)
    assert '"shop_test" is not a database of pgsandbox, so nothing was changed in it.' in text
    assert f"postgresql://postgres@/shop_test?host={server.directory}&port=5432" in text
    assert 'names the database "other_test" with oid' in text


def test_a_database_of_another_oid_is_not_dropped(server, connection):
    """A run whose database was replaced by another run's leaves that one alone."""
    old = made(connection, "shop_test")
    admin.drop(connection, "shop_test")
    new = made(connection, "shop_test")

    assert not admin.drop(connection, "shop_test", oid=old)
    with pytest.raises(DatabaseError, match="removed or replaced"):
        admin.mark(connection, "shop_test", old)
    assert pg_database.find(connection, "shop_test").oid == new


def test_sessions_in_the_database_end_with_it(server, connection):
    """A leaked connection with an open transaction doesn't keep the database."""
    made(connection, "shop_test")
    with closing(server.connect("shop_test")) as leaked:
        leaked.cursor().execute("begin; create table t ()")

        assert admin.drop(connection, "shop_test")


def test_a_database_of_ours_that_is_flagged_as_template_is_dropped(server, connection):
    """DROP refuses templates, and the flag may be our own."""
    made(connection, "shop_test")
    server.run("alter database shop_test is_template true allow_connections false")

    assert admin.drop(connection, "shop_test")


def test_a_database_whose_drop_was_interrupted_is_dropped(server, connection):
    """The server calls it invalid: nobody can connect to it or alter it, but its mark is there."""
    made(connection, "shop_test")
    server.run("update pg_database set datconnlimit = -2 where datname = 'shop_test'")

    assert admin.drop(connection, "shop_test")


def test_an_unfinished_database_is_marked_before_it_is_dropped(server, connection):
    """The proof must outlive a DROP that is interrupted, and the limit that proves it doesn't."""
    admin.create(connection, "shop_test")
    with closing(server.connect()) as other:
        other.cursor().execute("begin; lock table pg_replication_origin in access exclusive mode")
        other.cursor().execute("lock table pg_subscription in access exclusive mode")
        with pytest.raises(AdministrationBlocked):
            admin.drop(connection, "shop_test", limits=HURRIED)

    assert admin.read_mark(connection, "shop_test") is not None


def blocked_by_comment(other):
    """A transaction that has changed the database's comment holds a lock on the database."""
    other.cursor().execute("begin; comment on database shop_test is null")


def blocked_by_alter(other):
    """So does one that has changed a setting of the database."""
    other.cursor().execute("begin; alter database shop_test connection limit 5")


def blocked_by_catalog_lock(other):
    """And nobody gets past a lock on the catalog itself."""
    other.cursor().execute("begin; lock table pg_database in share row exclusive mode")


@pytest.mark.parametrize("block", [blocked_by_comment, blocked_by_alter, blocked_by_catalog_lock])
def test_a_drop_that_is_blocked_ends_and_tells_by_whom(server, connection, block):
    """Pid, application, role, state, duration and query of the session in the way."""
    made(connection, "shop_test")
    with closing(server.connect()) as other:
        other.cursor().execute("set application_name = 'a debugger'")
        block(other)
        with pytest.raises(AdministrationBlocked) as blocked:
            admin.drop(connection, "shop_test", limits=HURRIED)
        pid = other.info.backend_pid

    text = told(blocked)
    assert 'The server could not drop the database "shop_test" in time' in text
    assert (
        f'pid {pid}, application "a debugger", user postgres, idle in transaction for 0 s' in text
    )
    assert "begin; " in text
    assert f"SELECT pg_terminate_backend({pid});" in text
    assert "0.3 s for a lock, 2 s for a statement" in text
    assert admin.drop(connection, "shop_test")


def test_a_creation_that_is_blocked_ends_and_tells_by_whom(server, connection):
    """The session that creates the same name at the same time is named; nothing is left."""
    with closing(server.connect()) as other:
        other.cursor().execute("begin; lock table pg_database in exclusive mode")
        with pytest.raises(AdministrationBlocked, match="create") as blocked:
            admin.create(connection, "shop_test", HURRIED)
        pid = other.info.backend_pid

    assert f"pid {pid}, " in told(blocked)
    assert server.databases() == set()


def test_a_message_shows_no_password_of_the_blocking_query(server, connection):
    """Queries of other sessions are masked, and shown in bounded length."""
    made(connection, "shop_test")
    with closing(server.connect()) as other:
        other.cursor().execute(
            "begin; comment on database shop_test is null; "
            "create role x password 's3cret'; select 1 /* " + "x" * 500 + " */"
        )
        with pytest.raises(AdministrationBlocked) as blocked:
            admin.drop(connection, "shop_test", limits=HURRIED)

    text = told(blocked)
    assert "create role x password ***" in text
    assert "s3cret" not in text
    assert "x" * 50 in text
    assert "x" * 250 not in text


def test_no_more_than_a_handful_of_sessions_is_shown(server, maker):
    """The reader needs a few to find the cause, and how many more there are."""
    with closing(maker.connect()) as connection:
        made(connection, "shop_test")
        others = [server.connect("shop_test") for _ in range(7)]
        with pytest.raises(AdministrationBlocked) as blocked:
            admin.drop(connection, "shop_test", limits=HURRIED)
        for other in others:
            other.close()

    text = told(blocked)
    assert text.count("pid ") == 5
    assert "2 more sessions" in text


def test_sessions_that_the_role_may_not_end_are_told(server, maker):
    """A superuser's session in the database of an ordinary role blocks the drop."""
    with closing(maker.connect()) as connection:
        made(connection, "shop_test")
        with closing(server.connect("shop_test")) as other, closing(maker.connect("shop_test")):
            with pytest.raises(AdministrationBlocked) as blocked:
                admin.drop(connection, "shop_test", limits=HURRIED)
            pid = other.info.backend_pid

        assert f'pid {pid}, application "", user postgres, state unknown' in told(blocked)
        assert admin.drop(connection, "shop_test")


def test_an_ordinary_role_ends_its_own_sessions(maker):
    """No right beyond CREATEDB is needed for a whole life."""
    with closing(maker.connect()) as connection:
        made(connection, "shop_test")
        with closing(maker.connect("shop_test")):
            assert admin.drop(connection, "shop_test")


def test_a_database_of_another_role_is_not_dropped(server, maker, connection):
    """The message names its owner."""
    made(connection, "shop_test")

    with closing(maker.connect()) as other, pytest.raises(DatabaseError) as refusal:
        admin.drop(other, "shop_test")
    text = told(refusal)
    assert '"shop_test" belongs to another role' in text
    assert "owner postgres (pg_database)" in text
    assert "role maker (the administrative connection)" in text
    assert admin.exists(connection, "shop_test")


def test_prepared_transactions_are_rolled_back_from_inside(server, connection):
    """They outlive every session, and DROP can't end them."""
    made(connection, "shop_test")
    server.run("begin; create table t (); prepare transaction 'it''s'", database="shop_test")

    assert admin.obstacles(connection, "shop_test") == {"prepared transactions"}
    with pytest.raises(AdministrationBlocked, match='prepared transaction "it\'s" of postgres'):
        admin.drop(connection, "shop_test")
    with closing(server.connect("shop_test")) as inside:
        admin.roll_back_prepared(inside, "shop_test")
    assert not admin.obstacles(connection, "shop_test")
    assert admin.drop(connection, "shop_test")


def test_without_a_database_there_is_nothing_to_roll_back(connection):
    """Somebody else was quicker."""
    admin.roll_back_prepared(connection, "shop_test")

    assert not admin.obstacles(connection, "shop_test")


def test_prepared_transactions_of_others_are_left_alone(server, connection):
    """Rolling back is as destructive as dropping, and asks for the same proof."""
    server.run("create database shop_test")
    server.run("begin; create table t (); prepare transaction 'theirs'", database="shop_test")

    with closing(server.connect("shop_test")) as inside, pytest.raises(NotATestDatabase):
        admin.roll_back_prepared(inside, "shop_test")
    assert admin.obstacles(connection, "shop_test") == {"prepared transactions"}


def test_a_role_without_createdb_is_told_the_two_ways_out(server):
    """The statement for the administrator is ready to be copied."""
    server.run("create role {} login", 'pl"ain')

    with closing(server.as_role('pl"ain').connect()) as connection:
        assert not admin.may_create_databases(connection)
        with pytest.raises(MayNotCreateDatabases) as early:
            admin.require_createdb(connection)
        with pytest.raises(MayNotCreateDatabases) as late:
            admin.create(connection, "shop_test")
    assert told(early) == told(late)
    assert 'ALTER ROLE "pl""ain" CREATEDB;' in told(early)
    assert 'server = "embedded"' in told(early)
    assert server.databases() == set()


def test_a_role_with_createdb_and_a_superuser_may_create(maker, connection):
    """Either right is enough."""
    assert admin.may_create_databases(connection)
    with closing(maker.connect()) as other:
        assert admin.may_create_databases(other)


def test_a_failure_of_another_kind_says_what_the_server_said(server, connection):
    """The server's own words and its code are the facts."""
    admin.exists(connection, "shop_test")  # by which the connection has its settings
    connection.cursor().execute("set default_transaction_read_only = on")

    with pytest.raises(DatabaseError) as failure:
        admin.create(connection, "shop_test")
    text = told(failure)
    assert 'The server could not create the database "shop_test".' in text
    assert "cannot execute CREATE DATABASE in a read-only transaction (SQLSTATE 25006)" in text


def test_a_right_that_is_missing_beyond_createdb_is_not_taken_for_it(server, maker):
    """Giving the role CREATEDB once more would not help, so that isn't the advice."""
    server.run("update pg_database set datistemplate = false where datname = 'template0'")

    with closing(maker.connect()) as connection, pytest.raises(DatabaseError) as failure:
        admin.create(connection, "shop_test")
    assert 'permission denied to copy database "template0" (SQLSTATE 42501)' in told(failure)
    assert not isinstance(failure.value, MayNotCreateDatabases)


def test_a_statement_that_takes_too_long_ends(connection):
    """Even if it waits for nobody, and then nobody is accused."""
    limits = Limits(lock=10, statement=0.1)

    with (
        pytest.raises(AdministrationBlocked) as slow,
        limited(connection, "copy", "shop_test", limits) as cursor,
    ):
        cursor.execute("select pg_sleep(10)")
    assert "canceling statement due to statement timeout (SQLSTATE 57014)" in told(slow)
    assert "No session is in the way any more" in told(slow)
    assert "blocked by" not in told(slow)


def test_a_connection_that_was_cut_is_an_error_of_ours(server, connection):
    """No error of the driver comes through, and the explanation needs no connection."""
    server.run(f"select pg_terminate_backend({connection.info.backend_pid})")

    with pytest.raises(DatabaseError, match='could not look up the database "shop_test"'):
        admin.exists(connection, "shop_test")
    with pytest.raises(DatabaseError, match='could not look up the database "shop_test"'):
        admin.exists(connection, "shop_test")


def test_a_server_that_lets_nobody_in_is_an_error_of_ours(server):
    """What libpq says is passed on."""
    with (
        pytest.raises(ServerError, match='database "nowhere" does not exist'),
        administration(server.through("nowhere")),
    ):
        pass


@pytest.fixture
def template1(server):
    """Replace template1 by one with other options, until the end of the test."""
    before = server.run("select datcollate, datctype from pg_database where datname = 'template1'")

    def replace(options):
        server.run("alter database template1 is_template false")
        server.run("drop database template1")
        server.run(f"create database template1 template template0 is_template true {options}")

    yield replace
    replace("encoding UTF8 lc_collate '{}' lc_ctype '{}'".format(*before[0]))


@pytest.mark.parametrize(
    ("options", "collate"),
    [
        ("encoding UTF8 lc_collate 'C' lc_ctype 'C.UTF-8'", "C"),
        ("encoding SQL_ASCII lc_collate 'C.UTF-8' lc_ctype 'C.UTF-8'", "C"),
        ("encoding LATIN1 lc_collate 'C' lc_ctype 'C'", "C"),
    ],
)
def test_a_new_database_sorts_as_template1_does(server, connection, template1, options, collate):
    """Where UTF-8 can't have that locale, C takes its place."""
    template1(options)
    made(connection, "shop_test")

    rows = server.run(
        "select pg_encoding_to_char(encoding), datcollate from pg_database"
        " where datname = 'shop_test'"
    )
    assert rows == [("UTF8", collate)]


def test_a_new_database_has_the_icu_locale_of_template1(server, connection, template1):
    """Rules that an organisation's server sorts by apply to its test databases."""
    if not server.run("select 1 from pg_collation where collname = 'de-x-icu'"):
        pytest.skip("this server was built without ICU")
    template1("encoding UTF8 locale_provider icu icu_locale 'de'")
    made(connection, "shop_test")

    words = "select string_agg(w, '' order by w) from (values ('z'), ('ä'), ('a')) t (w)"
    assert server.run(words, database="shop_test") == [("aäz",)]


def test_a_new_database_has_the_builtin_locale_of_template1(server, connection, template1):
    """The provider that PostgreSQL 17 brought is copied as well."""
    if connection.server_version < 170000:
        pytest.skip("PostgreSQL 17 brought the builtin provider")
    template1("encoding UTF8 locale_provider builtin builtin_locale 'C.UTF-8'")
    made(connection, "shop_test")

    rows = server.run(
        "select datlocprovider, datlocale from pg_database where datname = 'shop_test'"
    )
    assert rows == [("b", "C.UTF-8")]


def test_a_name_beyond_ascii_needs_a_maintenance_database_that_stores_it(server):
    """In LATIN1, the statement's name would be stored in other bytes than a connection asks for."""
    server.run(
        "create database latin template template0 encoding LATIN1 lc_collate 'C' lc_ctype 'C'"
    )
    server.run(
        "create database ascii template template0 encoding SQL_ASCII lc_collate 'C' lc_ctype 'C'"
    )

    with administration(server.through("latin")) as connection:
        with pytest.raises(DatabaseError, match="LATIN1"):
            admin.create(connection, "größe_test")
        made(connection, "shop_test")
    with administration(server.through("ascii")) as connection:
        made(connection, "größe_test")
    assert server.databases() == {"latin", "ascii", "shop_test", "größe_test"}


@pytest.mark.parametrize(
    ("what_fails", "remedy"),
    [
        (
            "raise 'No space left on device' using errcode = '53100'",
            "The disk is full on which the server",
        ),
        ("set local transaction_read_only = on; create table t ()", "The server takes no writes"),
        ("perform pg_terminate_backend(pg_backend_pid())", "The server has crashed, or somebody"),
        ("raise 'no reason' using errcode = 'P0001'", ""),
    ],
    ids=["full disk", "standby", "crash", "else"],
)
def test_a_failure_has_a_remedy_where_one_is_known(connection, what_fails, remedy):
    """What the server says alone sends people to a search engine."""
    with (
        pytest.raises(DatabaseError) as caught,
        limited(connection, "drop", "shop_test") as cursor,
    ):
        cursor.execute(f"do $$ begin {what_fails}; end $$")

    assert caught.value.remedy.startswith(remedy)
    assert bool(caught.value.remedy) is bool(remedy)


def test_a_default_of_the_shell_for_the_application_counts_for_nothing(server, monkeypatch):
    """CREATE DATABASE failed in a read-only transaction."""
    with monkeypatch.context() as shell:
        shell.setenv("PGOPTIONS", "-c default_transaction_read_only=on")
        connection = server.connect()
    with closing(connection):
        made(connection, "shop_test")

        assert admin.drop(connection, "shop_test")
