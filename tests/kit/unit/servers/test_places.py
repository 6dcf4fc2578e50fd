"""The cache folder and the private folder."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pgsandbox.errors import ServerDidNotStart
from pgsandbox.servers import places, standstill


@pytest.fixture(autouse=True)
def without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine whose shared memory is small."""
    monkeypatch.setattr(places, "_MEMORY", "/nonexistent")
    monkeypatch.delenv("PGSANDBOX_RUNDIR", raising=False)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder with a short path, in place of /tmp."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr(places, "_SHORT", folder)
        yield Path(folder)


def test_the_cache_is_where_xdg_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG_CACHE_HOME wins over the usual folders."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert places.cache_folder(None) == tmp_path / "pgsandbox"


def test_a_relative_xdg_folder_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the XDG Base Directory Specification demands."""
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")

    assert "relative" not in {path.parts[0] for path in places._cache_candidates()}


def test_an_ordinary_user_s_cache_is_in_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Root's is for the whole machine."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    ordinary = places._cache_candidates()[0]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    root = places._cache_candidates()[0]

    assert ordinary == tmp_path / ".cache/pgsandbox"
    assert root == Path("/var/cache/pgsandbox")


def test_a_cache_that_others_can_write_to_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its programs are run and its data is loaded."""
    open_to_all = tmp_path / "pgsandbox"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    monkeypatch.setattr(places, "_cache_candidates", lambda: [open_to_all, tmp_path / "own"])

    assert places.cache_folder(None) == tmp_path / "own"


def test_every_refused_cache_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the reason for each."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    candidates = [tmp_path / "file", tmp_path / "link"]
    monkeypatch.setattr(places, "_cache_candidates", lambda: candidates)

    with pytest.raises(ServerDidNotStart) as caught:
        places.cache_folder(None)

    assert [fact.value for fact in caught.value.facts] == [str(path) for path in candidates]
    assert {fact.source for fact in caught.value.facts} == {"not a folder"}


def test_the_private_folder_is_there_for_the_block_and_no_longer(short: Path) -> None:
    """It is removed when no server is in it."""
    with places.private_folder() as private:
        inside = private.stat()

    assert private.parent == short
    assert stat.S_IMODE(inside.st_mode) & 0o022 == 0
    assert inside.st_uid == os.geteuid()
    assert list(short.iterdir()) == []


def test_the_private_folder_stays_while_a_server_is_in_it(short: Path) -> None:
    """Each server's watchdog removes it in the end."""
    with places.private_folder() as private:
        (private / "server").mkdir()

    assert sorted(private.iterdir()) == [private / "lock", private / "server"]


def test_one_process_at_a_time_is_in_the_private_folder(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait, and say so when that takes too long."""
    monkeypatch.setattr(standstill, "MOST", 0.3)
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    with places.private_folder(), pytest.raises(ServerDidNotStart) as caught:
        places._entrance([])

    assert "another process is still starting a server there" in str(caught.value)
    assert f"pid {os.getpid()}" in str(caught.value)
    assert str(short) in str(caught.value)


@pytest.fixture
def starter(short: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that starts a server in the private folder, and takes its time."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pgsandbox.servers import places\n"
        "places._MEMORY, places._SHORT = '/nonexistent', sys.argv[1]\n"
        "with places.private_folder():\n"
        "    print('in', flush=True)\n"
        "    while not Path(sys.argv[1], 'enough').exists():\n"
        "        pass\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(short)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_starter_that_is_stopped_is_left_alone(
    starter: subprocess.Popen[str], short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody waited for it for a minute, and then failed; now they take another place."""
    monkeypatch.setattr(standstill, "IDLE", 0.5)
    with tempfile.TemporaryDirectory(dir="/tmp") as other:
        monkeypatch.setattr(tempfile, "tempdir", other)
        starter.send_signal(signal.SIGSTOP)
        with places.private_folder(waits := []) as private:
            assert private.parent == Path(other)
    said = f" s without {short}/{private.name}, held by pid {starter.pid}, which is stopped: "
    assert [said in each for each in waits] == [True]


def test_the_starter_that_is_stopped_is_named(
    starter: subprocess.Popen[str], short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no other place."""
    monkeypatch.setattr(standstill, "IDLE", 0.5)
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    starter.send_signal(signal.SIGSTOP)
    with pytest.raises(ServerDidNotStart) as caught:
        places._entrance([])

    assert f"pid {starter.pid}, which is stopped: {sys.executable}" in str(caught.value)
    assert "kill -CONT" in caught.value.remedy


def test_a_starter_that_works_is_waited_for(
    starter: subprocess.Popen[str], short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slow the machine is; it is told by the processor time that it uses."""
    monkeypatch.setattr(standstill, "IDLE", 0.5)
    looks = []
    has_come = standstill.Standstill.has_come

    def let_it_end_later(wait: standstill.Standstill, pid: int | None) -> bool:
        looks.append(wait.waited)
        if wait.waited > 1.5:
            (short / "enough").touch()
        return has_come(wait, pid)

    monkeypatch.setattr(standstill.Standstill, "has_come", let_it_end_later)
    monkeypatch.setattr(places, "_WORTH_TELLING", 1.0)
    with places.private_folder(waits := []) as private:
        assert private.parent == short
    assert max(looks) > 1.5
    assert [f" s for {private}, held by pid {starter.pid}: " in each for each in waits] == [True]


def test_no_frozen_process_is_waited_for_longer_than_15_seconds() -> None:
    """The tests above shorten the wait."""
    assert standstill.IDLE < 15


@pytest.mark.skipif(os.geteuid() != 0, reason="others have only themselves to fear")
def test_root_uses_no_folder_below_one_that_others_can_write_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They could put another one in its place."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    theirs.chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(theirs))
    folder = places.cache_folder(None)
    theirs.chmod(0o1777)
    sticky = places.cache_folder(None)

    assert not folder.is_relative_to(theirs)
    assert sticky == theirs / "pgsandbox"


def test_a_place_too_long_for_a_socket_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A socket's path has at most 107 bytes."""
    long = tmp_path / ("long" * 25)
    long.mkdir()
    monkeypatch.setattr(places, "_SHORT", str(long))
    monkeypatch.setattr(tempfile, "tempdir", str(long))

    with pytest.raises(ServerDidNotStart, match="no folder to put") as caught:
        places._entrance([])

    assert "too long for a socket" in str(caught.value)


def test_a_machine_without_any_place_to_write_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python itself finds no temporary folder there."""

    def none() -> str:
        raise FileNotFoundError

    monkeypatch.setattr(tempfile, "gettempdir", none)
    monkeypatch.setattr(places, "_SHORT", "/proc")

    with pytest.raises(ServerDidNotStart) as caught:
        places._entrance([])

    assert "/proc/pgsandbox-" in str(caught.value)


@pytest.mark.parametrize(
    ("total", "free", "flags", "is_used"),
    [
        (2_000_000_000, 600_000_000, 0, True),
        (64_000_000, 64_000_000, 0, False),
        (2_000_000_000, 400_000_000, 0, False),
        (2_000_000_000, 600_000_000, os.ST_NOEXEC, False),
    ],
)
def test_memory_is_used_where_there_is_enough(
    monkeypatch: pytest.MonkeyPatch, short: Path, total: int, free: int, flags: int, is_used: bool
) -> None:
    """And where programs can be run from it, as the server's sometimes are."""
    with tempfile.TemporaryDirectory(dir="/tmp") as memory:
        monkeypatch.setattr(places, "_MEMORY", memory)
        monkeypatch.setattr(
            places.shutil, "disk_usage", lambda _: SimpleNamespace(total=total, free=free)
        )
        monkeypatch.setattr(places.os, "statvfs", lambda _: SimpleNamespace(f_flag=flags))
        with places.private_folder() as private:
            found = private.parent

    assert found == (Path(memory) if is_used else short)


def test_a_folder_that_is_named_is_used(
    monkeypatch: pytest.MonkeyPatch, short: Path, tmp_path: Path
) -> None:
    """Instead of memory and /tmp."""
    with tempfile.TemporaryDirectory(dir="/tmp") as named:
        monkeypatch.setenv("PGSANDBOX_RUNDIR", named)
        with places.private_folder() as private:
            assert private.parent == Path(named)
