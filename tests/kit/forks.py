"""Python programs that begin with the imports done: forks of a process that has made them.

``python -m pytest`` takes a second of one processor before it looks at a test, nearly all of it for
imports, and the kit's tests start it a thousand times. Here one process imports what every run of
them needs, does nothing else, and is forked for each: the fork gets the directory, the environment
and the arguments of the program that it is to be, and ends as that program does.

What a fork can't show is how a fresh interpreter begins. `run` starts one where the environment
says something to Python itself, and always where ``KIT_TESTS_FRESH`` is set, as it is in
``nox -s nightly``.

Where coverage is measured, so are the forks for some tests, from their first line on
(`tests/kit/measured.py`); not what they start in their turn, an endpoint say, unless the
environment that they are given asks for that.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import itertools
import json
import os
import random
import re
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TextIO

import coverage

from tests.kit.measured import MEASURED

FRESH = "KIT_TESTS_FRESH"

_IMPORTED = (
    *("pytest", "_pytest.assertion.rewrite", "_pytest.legacypath", "_pytest.pytester_assertions"),
    *(
        "_pytest.stepwise",
        "_pytest.junitxml",
        "_pytest.faulthandler",
        "_pytest.unraisableexception",
    ),
    *("psycopg2", "psycopg2.extras", "sqlalchemy.orm", "sqlalchemy.dialects.postgresql.psycopg2"),
    *("pgsandbox.plugin.active", "pgsandbox.plugin.fixtures"),
    "pgsandbox.sandbox.endpoint.__main__",
)
"""What every run of the kit's plugin imports; nothing that it imports at need only."""
_OF_SOME = ("alembic.command", "alembic.config", "factory.alchemy", "flask_sqlalchemy")
"""What takes long to import, of the libraries that projects use."""
_ANNOUNCED = tuple(
    sorted({each.module for each in entry_points(group="pytest11")} - {"pgsandbox.plugin"})
)
"""The plugins that pytest imports by itself."""
_USES_SOME = re.compile(rb"\b(alembic|factory|flask)")
what_is_measured = os.environ.get(MEASURED)
"""What this process was told; tests take it out of their environment (`tests/kit/conftest.py`)."""
are_measured = False
"""Whether the forks for the running test are."""
_ROOT = Path(__file__).parents[2]
_OURS_TO_SET = frozenset({"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"})


_TO_BEGIN = 120
"""Seconds until a process has forked: at first it makes its imports, beside others that do so."""


class Forks:
    """A process that is forked, from the first run that needs it to the end of this one."""

    def __init__(self, *more: str, measured: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno()), *more],
                cwd=_ROOT,
                env={name: os.environ[name] for name in os.environ if name != MEASURED} | measured,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._socket = ours
        self._pid = os.getpid()
        self._lock = threading.Lock()
        atexit.register(self.close)

    @property
    def is_ours(self) -> bool:
        """Whether this process has started it and may ask it."""
        return self._pid == os.getpid() and self._process.poll() is None

    def run(
        self,
        command: Sequence[str],
        cwd: Path,
        environ: Mapping[str, str],
        files: tuple[TextIO, TextIO],
        seconds: float | None,
    ) -> int:
        """Return the exit code of a fork; *command* is a module and its arguments.

        Raises:
            TimeoutError: it did not end in time, and was killed with its process group.
        """
        with self._lock:
            asked = json.dumps([list(command), str(cwd), dict(environ)]).encode()
            socket.send_fds(self._socket, [b"%10d" % len(asked)], [each.fileno() for each in files])
            self._socket.sendall(asked)
            self._socket.settimeout(_TO_BEGIN)
            try:
                pid = int(_exactly(self._socket, 10))
            except TimeoutError as late:
                self._process.kill()  # or else its answer would be taken for the next one's
                raise RuntimeError(f"nothing was forked within {_TO_BEGIN} s") from late
            self._socket.settimeout(seconds)
            try:
                return int(_exactly(self._socket, 10))
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                self._socket.settimeout(_TO_BEGIN)
                _exactly(self._socket, 10)
                raise

    def close(self) -> None:
        """End it."""
        if self._pid == os.getpid():
            self._socket.close()
            self._process.wait()


_forks: dict[tuple[bool, tuple[str, ...]], Forks] = {}
"""By whether they are measured, and what they have imported beside what every run needs."""


def run(
    module: str,
    *arguments: str,
    cwd: Path,
    environ: Mapping[str, str],
    seconds: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Return what ``python -m`` *module* has said, and how it has ended, in a process of its own.

    Raises:
        subprocess.TimeoutExpired: it did not end in time, and was killed.
    """
    command = [module, *arguments]
    if FRESH in os.environ or any(
        environ.get(name) != os.environ.get(name)  # which the forked process began with
        for name in {*environ, *os.environ}
        if name.startswith("PYTHON") and name not in _OURS_TO_SET
    ):
        return run_fresh(*command, cwd=cwd, environ=environ, seconds=seconds)
    more = _OF_SOME if _uses_some(cwd) else ()
    if module == "pytest" and not environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        more += _ANNOUNCED
    kind = (are_measured, more)
    if kind not in _forks or not _forks[kind].is_ours:
        measured = {MEASURED: what_is_measured} if are_measured and what_is_measured else {}
        _forks[kind] = Forks(*more, measured=measured)
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as out,
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as err,
    ):
        code: int | None = None
        with contextlib.suppress(TimeoutError):
            code = _forks[kind].run(command, cwd, environ, (out, err), seconds)
        said = [each.read() for each in (out, err) if each.seek(0) == 0]
    if code is None:
        raise subprocess.TimeoutExpired(command, seconds or 0, *said)
    return subprocess.CompletedProcess(command, code, *said)


def _uses_some(project: Path) -> bool:
    texts = itertools.chain(project.rglob("*.py"), project.rglob("*.toml"))
    return any(_USES_SOME.search(each.read_bytes()) for each in texts if each.is_file())


def run_fresh(
    *command: str, cwd: Path, environ: Mapping[str, str], seconds: float | None
) -> subprocess.CompletedProcess[str]:
    """Return the same of a process with an interpreter of its own."""
    process = start_fresh(*command, cwd=cwd, environ=environ)
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as late:
        os.killpg(process.pid, signal.SIGKILL)
        late.output, late.stderr = process.communicate()
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def start_fresh(*command: str, cwd: Path, environ: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start ``python -m`` *command* with an interpreter and a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


# ---------------------------------------------------------------------- in the process itself


def serve(asked: socket.socket) -> tuple[list[Any], list[int]] | None:
    """Fork for each request; return the request and its files in the fork, and None at the end."""
    while True:
        header, files, _, _ = socket.recv_fds(asked, 10, 2)
        if not header:
            return None
        header += _exactly(asked, 10 - len(header)) if len(header) < 10 else b""
        request = json.loads(_exactly(asked, int(header)))
        pid = os.fork()
        if pid == 0:
            asked.close()
            return request, files
        for each in files:
            os.close(each)
        asked.sendall(b"%10d" % pid)
        _end_with(asked, pid)
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(BrokenPipeError):
            asked.sendall(b"%10d" % os.waitstatus_to_exitcode(status))


def _end_with(asked: socket.socket, pid: int) -> None:
    """Wait for the end of the process *pid*; kill its group if whoever *asked* for it is gone."""
    if not hasattr(os, "pidfd_open"):
        return
    ended = os.pidfd_open(pid)
    try:
        ready, _, _ = select.select([ended, asked], [], [])
        if asked in ready and ended not in ready:  # nothing is asked before the answer
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
    finally:
        os.close(ended)


def become(files: list[int], command: list[str], cwd: str, environ: dict[str, str]) -> None:
    """Let this process be as ``python -m`` *command* would find itself."""
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    for descriptor, ours in zip(files, (1, 2), strict=True):
        os.dup2(descriptor, ours)
        os.close(descriptor)
    random.seed()
    if "faker.generator" in sys.modules:
        sys.modules["faker.generator"].random.seed()
    sys.argv = ["-m", *command[1:]]
    sys.orig_argv = [sys.executable, "-m", *command]
    sys.path[:0] = [cwd, *filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.dont_write_bytecode = bool(environ.get("PYTHONDONTWRITEBYTECODE"))
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()


def _exactly(source: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = source.recv(count - len(received))
        if not part:
            raise ConnectionError("the process that is forked has ended")
        received += part
    return received


def _prepare(more: Sequence[str]) -> None:
    for name in (*_IMPORTED, *more):
        importlib.import_module(name)
    from pgsandbox.sandbox import endpoint_process
    from tests.kit import forked_endpoints

    endpoint_process.start = forked_endpoints.start
    from _pytest.assertion.rewrite import AssertionRewritingHook

    # pytest warns of a plugin that was imported before it could rewrite its assertions.
    packages = {name for name in sys.modules if "." not in name}
    for name in {"pgsandbox.plugin", *_ANNOUNCED} & {*sys.modules} | packages:
        loader: Any = AssertionRewritingHook.__new__(AssertionRewritingHook)
        sys.modules[name].__loader__ = loader
    # No program that is run here should find this project's tests.
    del sys.path[0]
    for name in [each for each in sys.modules if each.partition(".")[0] == "tests"]:
        del sys.modules[name]
    if (measuring := coverage.Coverage.current()) is not None:
        measuring.save()  # what the imports ran, once, and not for each fork
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _prepare(sys.argv[2:])
    asked = serve(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None:
        request, files = asked
        become(files, *request)
        runpy.run_module(request[0][0], run_name="__main__", alter_sys=True)
