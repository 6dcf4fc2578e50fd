"""Locks that the kernel frees."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pgsandbox.servers.file_locks import Lock, is_held

_HOLDER = """
import sys
from pathlib import Path
from pgsandbox.servers.file_locks import Lock
lock = Lock(Path(sys.argv[1]), create=True)
print(lock.take(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of an empty lock file."""
    path = tmp_path / "lock"
    path.touch()
    return path


def test_an_exclusive_lock_keeps_all_others_out(path: Path) -> None:
    """Within a process, too: locks belong to open files."""
    first, second = Lock(path), Lock(path)
    taken = first.take(), second.take(), second.take(shared=True)
    first.close()
    after = second.take()
    second.close()

    assert taken == (True, False, False)
    assert after


def test_shared_locks_go_together(path: Path) -> None:
    """And keep an exclusive one out."""
    first, second, third = Lock(path), Lock(path), Lock(path)
    taken = first.take(shared=True), second.take(shared=True), third.take()
    for lock in (first, second, third):
        lock.close()

    assert taken == (True, True, False)


def test_waiting_for_a_lock_ends(path: Path) -> None:
    """With False, when the time is over."""
    first, second = Lock(path), Lock(path)
    first.take()
    taken = second.take_within(0.02)
    first.close()
    second.close()

    assert not taken


def test_is_held_sees_only_exclusive_locks(path: Path) -> None:
    """And says no where there is no file."""
    lock = Lock(path)
    lock.take(shared=True)
    shared = is_held(path)
    lock.take()
    exclusive = is_held(path)
    lock.close()

    assert (shared, exclusive, is_held(path.with_name("none"))) == (False, True, False)


def test_a_killed_holder_frees_its_lock(path: Path) -> None:
    """However a process ends, the kernel closes its files."""
    source = str(Path(sys.modules["pgsandbox"].__path__[0]).parent)
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)],
        env=os.environ | {"PYTHONPATH": source},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    before = is_held(path)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()

    assert before
    assert not is_held(path)


def test_a_forked_child_does_not_hold_its_parent_s_lock(path: Path) -> None:
    """It shares the open file until it closes it, which it does first thing."""
    lock = Lock(path)
    lock.take()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, str(lock.fd).encode())
        signal.pause()
        os._exit(0)
    seen_by_child = os.read(reading, 10)
    held = is_held(path)
    lock.close()
    after = is_held(path)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)

    assert seen_by_child == b"-1"
    assert held
    assert not after


def test_a_lock_on_a_file_that_was_replaced_is_not_current(path: Path) -> None:
    """It protects nothing any more."""
    lock = Lock(path)
    before = lock.is_current()
    path.unlink()
    removed = lock.is_current()
    path.touch()
    replaced = lock.is_current()
    lock.close()

    assert (before, removed, replaced) == (True, False, False)


def test_a_symbolic_link_is_no_lock_file(path: Path) -> None:
    """Somebody else may have put it there."""
    link = path.with_name("link")
    link.symlink_to(path)

    with pytest.raises(OSError, match="symbolic links"):
        Lock(link)
