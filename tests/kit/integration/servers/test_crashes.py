"""An embedded server whose users, watchdog or postmaster are killed: nothing stays for long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pgsandbox.servers import embedded, libpq, places
from pgsandbox.servers.binaries import find
from pgsandbox.servers.embedded import key_of
from pgsandbox.servers.instance import Instance, clear_dead
from tests.kit.integration.servers.processes import Seen, Users, is_running, kill, until
from tests.kit.nightly import by_night

_BUSY = """
import sys, psycopg2
connection = psycopg2.connect(host=sys.argv[1], user="postgres", dbname="postgres")
print(connection.info.backend_pid, flush=True)
connection.cursor().execute("DO $$ BEGIN LOOP END LOOP; END $$")
"""

_PRIVATE = places.bases()[0] / f"pgsandbox-{os.geteuid()}"

_ORPHAN = """
import fcntl, signal, sys
signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # nohup ignores it, which PostgreSQL undoes as well
lock = open(sys.argv[1], "r+")
fcntl.flock(lock, fcntl.LOCK_EX)
print("locked", flush=True)
signal.pause()
"""


def _folders(users: Users) -> set[Path]:
    """Those of servers of the same key; one of a watchdog that an earlier test has killed, too."""
    return {*_PRIVATE.parent.glob(f"{_PRIVATE.name}/{key_of(find(None), users.cache)}-*")}


def test_a_killed_user_leaves_nothing(users: Users) -> None:
    """The kernel frees the lock of the last user, and the watchdog does the rest."""
    user = users.start()
    seen = user.server()
    user.kill()

    assert until(seen.is_gone, seconds=5)


def test_a_killed_user_takes_nothing_from_the_others(users: Users) -> None:
    """The server goes on as long as one user lives."""
    killed, other = users.start(), users.start()
    seen = killed.server()
    other.server()
    killed.kill()

    assert seen.answers()
    other.leave()
    assert seen.is_gone()


def test_a_killed_watchdog_takes_the_postmaster_with_it(users: Users) -> None:
    """The kernel tells the postmaster, so no server runs without somebody to stop it."""
    user = users.start()
    seen = user.server()
    kill(seen.watchdog)

    assert until(lambda: not is_running(seen.postmaster), seconds=5)


def test_the_next_start_clears_up_after_a_killed_watchdog(users: Users) -> None:
    """Its folder is left, and whoever comes next removes it and has a server of its own."""
    seen = users.start().server()
    kill(seen.watchdog)
    successor = users.start()
    new = successor.server()

    assert new.folders() == [new.folder]
    assert not seen.folder.exists()
    assert new.answers()


def test_the_watchdog_clears_up_after_a_killed_postmaster(users: Users) -> None:
    """While its users live on: they can start another one."""
    user = users.start()
    seen = user.server()
    kill(seen.postmaster)

    assert until(seen.is_gone, seconds=5)


@pytest.mark.skipif(sys.platform != "linux", reason="where segments are looked up in /proc")
@pytest.mark.parametrize("victims", [("postmaster",), ("watchdog", "postmaster")], ids=len)
def test_a_killed_postmaster_leaves_no_shared_memory(
    users: Users, victims: tuple[str, ...]
) -> None:
    """The kernel keeps a System V segment until somebody removes it, or until a reboot."""
    seen = users.start().server()
    segment = (seen.run / "data/postmaster.pid").read_text().splitlines()[6].split()[1]
    before = _segments()
    for victim in victims:
        kill(getattr(seen, victim))
    users.start().server()

    assert segment in before
    assert until(lambda: segment not in _segments())


def test_a_busy_session_of_a_killed_postmaster_ends_too(users: Users) -> None:
    """A session that computes does not notice that its postmaster is gone."""
    seen = users.start().server()
    session = subprocess.Popen(
        [sys.executable, "-c", _BUSY, str(seen.run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert session.stdout is not None
    backend = int(session.stdout.readline())
    busy = until(lambda: seen.is_computing(backend))
    kill(seen.postmaster)
    gone = until(lambda: not is_running(backend), seconds=5)
    session.kill()
    session.communicate()

    assert busy
    assert gone


def test_what_was_committed_is_there_after_a_session_was_killed(users: Users) -> None:
    """PostgreSQL ends every other process then, and recovers what has reached the log's files."""
    seen = users.start().server()
    committed = [_committed_before_a_crash(seen, number) for number in range(5)]

    assert committed == [list(range(number + 1)) for number in range(5)]


def test_a_process_gets_a_new_server_after_its_postmaster_was_killed(tmp_path: Path) -> None:
    """Whether the watchdog has noticed already or not."""
    first = embedded(reason="a test", cache=tmp_path)
    seen = Seen(first.url)
    kill(seen.postmaster)
    second = embedded(reason="a test", cache=tmp_path)
    new = Seen(second.url)
    answers = new.answers()
    first.release()
    second.release()

    assert new.folder != seen.folder
    assert answers
    assert until(seen.is_gone, seconds=5)
    assert new.is_gone()


def test_the_next_start_clears_up_after_everything_was_killed(users: Users) -> None:
    """User, watchdog and postmaster at once, as when a machine is out of memory."""
    user = users.start()
    seen = user.server()
    kill(seen.watchdog)
    kill(seen.postmaster)
    user.kill()
    new = users.start().server()

    assert not seen.folder.exists()
    assert new.folders() == [new.folder]
    assert new.answers()


@pytest.mark.parametrize("moment", [*by_night("log", "run/data/postmaster.pid"), "run/data/base/5"])
def test_a_first_starter_killed_at_any_moment_leaves_nothing(
    fresh_users: Users, moment: str
) -> None:
    """Wherever in its course a first start ends, the next one works, and nothing else is left."""
    users = fresh_users
    before = _folders(users)
    starter = users.start()
    reached = until(lambda: any((each / moment).exists() for each in _folders(users) - before))
    starter.kill()
    successor = users.start()
    new = successor.server()

    assert reached
    assert new.answers()
    assert until(lambda: new.folders() == [new.folder])
    successor.leave()
    assert new.folders() == []


@pytest.mark.parametrize("moment", [*by_night("log", "run/data/base/5"), "run/data/postmaster.pid"])
def test_a_later_starter_killed_at_any_moment_leaves_nothing(users: Users, moment: str) -> None:
    """The same when pristine data is copied."""
    first = users.start()
    first.server()
    first.leave()
    before = _folders(users)
    starter = users.start()
    reached = until(lambda: any((each / moment).exists() for each in _folders(users) - before))
    starter.kill()
    successor = users.start()
    new = successor.server()

    assert reached
    assert new.answers()
    assert until(lambda: new.folders() == [new.folder])
    successor.leave()
    assert new.folders() == []


@pytest.mark.parametrize("moment", ["run/data", "ready"])
def test_a_killed_starter_needs_no_successor_to_clear_up(users: Users, moment: str) -> None:
    """Its watchdog is there before anything else and sees that nobody wants the server."""
    before = _folders(users)
    starter = users.start()
    reached = until(lambda: any((each / moment).exists() for each in _folders(users) - before))
    starter.kill()

    assert reached
    # Its initdb has to end first, which takes long on a busy machine.
    assert until(lambda: not _folders(users) - before, 125)


def test_clearing_up_spares_living_servers_of_other_keys(users: Users, tmp_path: Path) -> None:
    """A start removes what is dead and nothing else."""
    seen = users.start().server()
    other = embedded(reason="a test", cache=tmp_path / "other")
    other.release()

    assert seen.answers()


def test_a_postmaster_without_its_watchdog_is_told_to_stop(tmp_path: Path) -> None:
    """As on macOS, where the kernel does not do it."""
    instance = _instance_of(tmp_path, os.geteuid())
    orphan = subprocess.Popen(
        [sys.executable, "-c", _ORPHAN, str(instance.server)], stdout=subprocess.PIPE
    )
    assert orphan.stdout is not None
    orphan.stdout.readline()
    (instance.data / "postmaster.pid").write_text(f"{orphan.pid}\n")
    clear_dead(tmp_path)
    ended = orphan.wait(5)
    orphan.stdout.close()

    assert ended == -signal.SIGQUIT
    assert not instance.folder.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could end a process of somebody else")
def test_a_process_of_another_user_is_never_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file with the process id is the server account's to write."""
    monkeypatch.setattr(sys.modules[clear_dead.__module__], "_LIMIT_OF_AN_ORPHAN", 0.1)
    instance = _instance_of(tmp_path, 65534)
    orphan = subprocess.Popen(
        [sys.executable, "-c", _ORPHAN, str(instance.server)], stdout=subprocess.PIPE
    )
    assert orphan.stdout is not None
    orphan.stdout.readline()
    (instance.data / "postmaster.pid").write_text(f"{orphan.pid}\n")
    clear_dead(tmp_path)
    ended = orphan.poll()
    orphan.kill()
    orphan.communicate()

    assert ended is None
    assert instance.folder.exists()


def _committed_before_a_crash(seen: Seen, number: int) -> list[int]:
    """Commit *number*, kill the session that did, and return what the table has afterwards."""
    # PostgreSQL lets nobody in between the end of the other session and that of the recovery.
    with closing(libpq.connect(seen.url)) as other, closing(libpq.connect(seen.url)) as connection:
        cursor = connection.cursor()
        cursor.execute("create table if not exists numbers (number int)")
        cursor.execute("insert into numbers values (%s)", [number])
        kill(connection.info.backend_pid)
        assert until(lambda: not other.is_open())
    assert until(seen.answers)
    with closing(libpq.connect(seen.url)) as connection, connection.cursor() as cursor:
        cursor.execute("select number from numbers order by number")
        return [row[0] for row in cursor.fetchall()]


def _segments() -> list[str]:
    """The ids of all System V segments of shared memory."""
    rows = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return [row.split()[1] for row in rows]


def _instance_of(private: Path, uid: int) -> Instance:
    """The folder of a server whose watchdog was killed."""
    instance = Instance(private / "0123456789-abcdef")
    instance.data.mkdir(parents=True)
    os.chown(instance.run, uid, -1)
    instance.watchdog.touch()
    instance.server.touch()
    return instance
