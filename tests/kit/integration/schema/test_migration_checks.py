"""Each thing that can be wrong with migrations, alone, is found and named; sound ones are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest

from pgsandbox import servers
from pgsandbox.reports import Finding
from pgsandbox.schema import checks, long_locks
from pgsandbox.schema.checks import MigrationRows
from pgsandbox.schema.migrating import Migrations

_ENV = """
from alembic import context

context.configure(
    connection=context.config.attributes.get("connection"),
    dialect_name=None if "connection" in context.config.attributes else "postgresql",
    literal_binds=context.is_offline_mode(),
)
with context.begin_transaction():
    context.run_migrations()
"""

Open = Callable[..., Migrations]


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Server]:
    """The embedded server."""
    server = servers.embedded(reason="migrations are checked")
    yield server
    server.release()


@pytest.fixture
def opened(
    request: pytest.FixtureRequest, server: servers.Server, tmp_path: Path
) -> Iterator[Open]:
    """Make migrations of pairs of statements, each on an empty database of its own."""
    judge = request.config.pluginmanager.getplugin("pgsandbox-active").run.judge
    connection = server.connect()
    made: list[tuple[Migrations, str]] = []

    def open_(*steps: tuple[str, str | None], heads: bool = False) -> Migrations:
        versions = tmp_path / f"migrations_{len(made)}" / "versions"
        versions.mkdir(parents=True)
        (versions.parent / "env.py").write_text(_ENV)
        for number, (up, down) in enumerate(steps, start=1):
            follows = "None" if number == 1 else f'"{1 if heads else number - 1}"'
            undo = f"def downgrade():\n    op.execute({down!r})\n" if down is not None else ""
            body = up if up.startswith(("op.", "with ")) else f"op.execute({up!r})"
            (versions / f"{number}.py").write_text(
                f'"""Step {number}."""\nfrom alembic import op\n'
                f'revision, down_revision = "{number}", {follows}\n'
                f"def upgrade():\n    {body}\n{undo}"
            )
        name = f"checks_{tmp_path.name.lower()}_{len(made)}"[:63]
        with connection.cursor() as cursor:
            cursor.execute(f'create database "{name}"')
        migrations = Migrations(
            versions.parent, server.url_of(name), through=judge.building
        ).__enter__()
        made.append((migrations, name))
        return migrations

    yield open_
    for migrations, name in made:
        migrations.__exit__()
        with connection.cursor() as cursor:
            cursor.execute(f'drop database "{name}" with (force)')
    connection.close()


SHOP = (
    (
        "create table items (id int primary key, name text)",
        "drop table items",
    ),
    (
        "alter table items add price int",
        "alter table items drop price",
    ),
)


def _codes(found: list[Finding]) -> list[str]:
    return [finding.code for finding in found]


def test_sound_migrations_have_no_findings(opened: Open) -> None:
    """Nor do they leave anything, or print anything else than they do."""
    assert checks.single_head(opened(*SHOP)) == []
    assert checks.every_step(opened(*SHOP)) == []
    assert checks.nothing_left(opened(*SHOP)) == []
    assert checks.offline_is_online(opened(*SHOP), opened(*SHOP)) == []


def test_branches_and_a_project_without_migrations(opened: Open) -> None:
    """Each revision of a branch goes down and up alone; nothing is checked where nothing is."""
    more = ("create table others ()", "drop table others")

    assert checks.every_step(opened(*SHOP, more, heads=True)) == []
    assert checks.nothing_left(opened(*SHOP, more, heads=True)) == []
    assert checks.every_step(opened()) == []


def test_branches_that_depend_and_are_merged(opened: Open) -> None:
    """A merge goes down into both of its branches, and a revision after what it depends on."""
    migrations = opened(*SHOP, ("create table others ()", "drop table others"), heads=True)
    versions = migrations.location / "versions"
    (versions / "4.py").write_text(
        'revision, down_revision, depends_on = "4", None, "3"\nbranch_labels = ("side",)\n'
        "from alembic import op\ndef upgrade(): op.execute('alter table others add a int')\n"
        "def downgrade(): op.execute('alter table others drop a')\n"
    )
    (versions / "5.py").write_text(
        'revision, down_revision = "5", ("2", "4")\ndef upgrade(): pass\ndef downgrade(): pass\n'
    )

    assert checks.every_step(migrations) == []
    assert sorted(each.name for each in migrations.revisions) == ["1", "2", "3", "4", "5"]


def test_two_heads(opened: Open) -> None:
    """Both are named."""
    [finding] = checks.single_head(opened(*SHOP, ("select 1", "select 1"), heads=True))

    assert (finding.code, finding.subject) == ("several-heads", "2, 3")


@pytest.mark.parametrize(
    ("up", "down", "codes", "subject"),
    [
        ("create table t ()", "select 1", ["not-undone", "not-repeated"], "3"),
        ("create table t ()", None, ["no-downgrade"], "3"),
        ("create table t ()", "drop table u", ["downgrade-fails"], "3"),
        ("create table t (", "drop table t", ["upgrade-fails"], "3"),
        ("create type mood as enum ('good')", "select 1", ["not-undone", "not-repeated"], "3"),
        ("alter table items drop name", "alter table items add name int", ["not-undone"], "3"),
        ("create index i on items (name)", "drop index i; drop table items", ["not-undone"], "3"),
        ("alter table items alter name set default 'x'", "select 1", ["not-undone"], "3"),
    ],
)
def test_a_step_that_does_not_go_back(
    opened: Open, up: str, down: str | None, codes: list[str], subject: str
) -> None:
    """The revision is named, with what is not as it was."""
    found = checks.every_step(opened(*SHOP, (up, down)))

    assert _codes(found)[: len(codes)] == codes
    assert {finding.subject for finding in found} == {subject}
    assert {finding.path.rpartition("/")[2] for finding in found if finding.path} == {"3.py"}


def test_a_step_that_is_another_the_second_time(opened: Open) -> None:
    """Its downgrade undoes what the catalog shows, and not the row that the upgrade looks at."""
    up = """
        do $$ begin
            if exists (select from items) then create index i on items (price);
            else create index i on items (name); end if;
        end $$;
        insert into items (id) values (1) on conflict do nothing
    """
    [finding] = checks.every_step(opened(*SHOP, (up, "drop index i")))

    assert (finding.code, finding.details["what"]) == ("not-repeated", "index-keys")


def test_what_comes_after_a_step_that_ends_the_walk(opened: Open) -> None:
    """The revisions that nobody has looked at are counted, and named."""
    forgets = ("create table t ()", "select 1")
    found = checks.every_step(opened(*SHOP, forgets, ("select 1", ""), ("select 1", "")))

    assert found[-1].code == "not-repeated"
    assert found[-1].details["not checked"] == "2 later: 4 to 5"
    assert [checks.not_checked(each) for each in found] == [0, 2]


@pytest.mark.parametrize(
    ("up", "words"),
    [
        ("create type mood as enum ('good')", "an enum stays"),
        ("create table t ()", "Drop in the downgrade what the upgrade makes."),
        ("insert into items (id, name) values (7, 'tea')", "rows, most often"),
    ],
)
def test_why_a_step_can_not_be_repeated(opened: Open, up: str, words: str) -> None:
    """The advice is for what the server said, and for nothing else."""
    found = checks.every_step(opened(*SHOP, (up, "select 1")))

    assert found[-1].code == "not-repeated"
    assert words in (found[-1].remedy or "")


def test_an_enum_that_the_downgrade_of_its_table_forgets(opened: Open) -> None:
    """It stays at base, which one step alone would not show if nothing makes it again."""
    step = ("create type mood as enum ('good'); create table t (m mood)", "drop table t")
    [finding] = checks.nothing_left(opened(*SHOP, step))

    assert (finding.code, finding.subject) == ("left-at-base", "public.mood")


@pytest.mark.parametrize(
    ("up", "code"),
    [
        ('op.execute("drop table items") if op.get_context().as_sql else None', "offline-differs"),
        ("op.get_bind().exec_driver_sql('select 1').scalar_one()", "offline-fails"),
    ],
)
def test_offline_sql_that_is_not_what_runs_online(opened: Open, up: str, code: str) -> None:
    """What it makes differs, or it can't be made."""
    found = checks.offline_is_online(opened(*SHOP, (up, "")), opened(*SHOP, (up, "")))

    assert _codes(found) == [code]


def test_a_migration_that_can_not_be_printed_is_named(opened: Open) -> None:
    """And so is its file."""
    up = "op.get_bind().exec_driver_sql('select 1').scalar_one()"
    [finding] = checks.offline_is_online(opened(*SHOP, (up, "")), opened(*SHOP, (up, "")))

    assert finding.subject == "3"
    assert (finding.path or "").endswith("3.py")


TEA = {"id": 1, "name": "tea"}


@pytest.mark.parametrize(
    ("up", "down", "expected", "codes"),
    [
        ("update items set name = upper(name)", "select 1", {"id": 1, "name": "TEA"}, 1),
        (
            "update items set name = upper(name)",
            "update items set name = lower(name)",
            {"id": 1, "name": "TEA"},
            0,
        ),
        ("update items set name = upper(name)", "select 1", TEA, 2),
        ("delete from items", "select 1", TEA, 2),
        ("insert into items values (2, 'tea')", None, {"name": "tea"}, 1),
        ("alter table items rename name to title", None, {"title": "tea"}, 0),
    ],
)
def test_rows_on_their_way(
    opened: Open, up: str, down: str | None, expected: dict[str, object], codes: int
) -> None:
    """They arrive as expected after a revision, and are what they were after its downgrade."""
    rows = MigrationRows("2", {"items": [TEA]}, after="3", expected={"items": [expected]})
    found = checks.rows_survive(opened(*SHOP, (up, down)), rows)

    assert _codes(found) == ["row-lost"] * codes


TABLE = (
    "create table s.t (id serial primary key, mood mood, moods mood[], document jsonb, "
    'at timestamptz, of uuid, "Its Name" text)'
)
KINDS = (
    f"create schema s; create type mood as enum ('good', 'bad'); {TABLE}",
    "drop table s.t; drop type mood; drop schema s",
)


def test_rows_of_every_kind(opened: Open) -> None:
    """A text that the server takes for a value is that value, in whatever form it comes back."""
    row = {
        "mood": "good",
        "moods": ["bad"],
        "document": {"a": [1, None]},
        "at": "2026-01-01 00:00+05",
        "of": "00000000-0000-0000-0000-00000000000A",
        "Its Name": "x",
    }
    moved = {**row, "at": datetime(2025, 12, 31, 19, tzinfo=UTC)}
    late = {**row, "at": "2026-01-01 00:00+00"}
    steps = (KINDS, ("select 1", "select 1"))
    sound = MigrationRows("1", {"s.t": [row]}, after="2", expected={"s.t": [moved]})
    lost = MigrationRows("1", {"s.t": [row]}, after="2", expected={"s.t": [late]})

    assert checks.rows_survive(opened(*steps), sound) == []
    assert _codes(checks.rows_survive(opened(*steps), lost)) == ["row-lost"]


def test_a_migration_that_adds_a_row(opened: Open) -> None:
    """Its number is the next one, as it would be if the rows had not been given with theirs."""
    given = MigrationRows("1", {"s.t": [{"id": 1}, {"id": 7}]}, after="2")
    add = ("insert into s.t (mood) values ('bad')", "delete from s.t where mood = 'bad'")

    assert checks.rows_survive(opened(KINDS, add), given) == []


@pytest.mark.parametrize(
    ("up", "code"),
    [
        ("alter table items add made timestamptz not null default clock_timestamp()", "rewritten"),
        ("alter table items alter id type bigint", "rewritten"),
        ("create index on items (name)", "index-not-concurrent"),
        ("alter table items add check (name <> '')", "constraint-validated"),
        ("alter table items alter name set not null", "not-null-scan"),
    ],
)
def test_what_locks_a_large_table(opened: Open, up: str, code: str) -> None:
    """One finding, for the table that the project names."""
    [finding] = long_locks.long_locks(opened(*SHOP, (up, "")), ("items",))

    assert finding.code.endswith(code)
    assert (finding.subject, finding.path and finding.path[-4:]) == ("items", "3.py")


@pytest.mark.parametrize(
    "steps",
    [
        ["alter table items add made timestamptz not null default now()"],
        ["alter table items add check (name <> '') not valid"],
        ["alter table items add made int default 1 not null"],
        ["alter index items_pkey rename to other"],
        ["create table small (id int primary key)", "create index on small (id)"],
        [
            "alter table items add constraint c check (name is not null) not valid",
            "alter table items validate constraint c",
            "alter table items alter name set not null; alter table items drop constraint c",
        ],
    ],
)
def test_what_locks_nothing_for_long(opened: Open, steps: list[str]) -> None:
    """A constant default, what is not validated, a new name, and another table."""
    migrations = opened(*SHOP, *((step, "") for step in steps))

    assert long_locks.long_locks(migrations, ("items", "none")) == []


def test_an_index_built_concurrently(opened: Open) -> None:
    """As the remedy says, in an autocommit block."""
    create = "op.create_index('i', 'items', ['name'], postgresql_concurrently=True)"
    up = f"with op.get_context().autocommit_block(): {create}"

    assert long_locks.long_locks(opened(*SHOP, (up, "")), ("items",)) == []


def test_rows_that_do_not_fit(opened: Open) -> None:
    """The server's own words, and no traceback of ours."""
    rows = MigrationRows("1", {"items": [{"id": 1}, {"id": 1}]}, after="2")
    [finding] = checks.rows_survive(opened(*SHOP), rows)

    assert finding.code == "rows-refused"
    assert "items_pkey" in finding.details["server said"]


def test_a_revision_that_there_is_not(opened: Open) -> None:
    """It is said which there are."""
    with pytest.raises(ValueError, match="no revision '7'; there are 1, 2"):
        checks.rows_survive(opened(*SHOP), MigrationRows("7", {}))


def test_no_connection_stays(opened: Open) -> None:
    """The database can be dropped without force."""
    migrations = opened(*SHOP)
    checks.every_step(migrations)
    migrations.__exit__()
    with psycopg2.connect(migrations.url.set(drivername="postgresql").render_as_string()) as other:
        cursor = other.cursor()
        cursor.execute(
            "select count(*) from pg_stat_activity where datname = current_database() "
            "and pid <> pg_backend_pid() and backend_type = 'client backend'"
        )
        [(count,)] = cursor.fetchall()

    assert count == 0
    migrations.__enter__()
