"""Python programs that begin with the imports done: forks of a process that has made them.

``python -m pytest`` takes a second of one processor before it looks at a test, nearly all of it for
imports, and the kit's tests start it a thousand times. Here one process imports what every run of
them needs, does nothing else, and is forked for each: the fork gets the directory, the environment
and the arguments of the program that it is to be, and ends as that program does.

What a fork can't show is how a fresh interpreter begins, and how it takes itself apart. `run`
starts one where the environment says something to Python itself, and always where
``KIT_TESTS_FRESH`` is set, as it is in ``nox -s nightly``.

Where coverage is measured, so are the forks, past the imports, and what they start in their turn.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import itertools
import os
import posix
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
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TextIO

import coverage
from _pytest.config import default_plugins

from tests.kit import fork_requests, forked_workers

FRESH = "KIT_TESTS_FRESH"

_IMPORTED = (
    *("pytest", "_pytest.assertion.rewrite", *(f"_pytest.{name}" for name in default_plugins)),
    *("_pytest.pytester_assertions", "_pytest._argcomplete", "pdb", "difflib", "email.parser"),
    *("psycopg2", "psycopg2.extras", "sqlalchemy.orm", "sqlalchemy.dialects.postgresql.psycopg2"),
    *("pgsandbox.plugin.active", "pgsandbox.plugin.fixtures", "pgsandbox.config.reading"),
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
MEASURED = "COVERAGE_PROCESS_CONFIG"
"""Where coverage.py's patch for subprocesses tells them what to measure."""
_XDIST = frozenset({"xdist", "-pxdist"})
"""How the arguments of a run name pytest-xdist."""
_ROOT = Path(__file__).parents[2]
_OURS_TO_SET = frozenset({"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"})


_TO_BEGIN = 120
"""Seconds until a process has forked: at first it makes its imports, beside others that do so."""


@dataclass(frozen=True)
class Program:
    """What a fork is to be."""

    command: list[str]
    """A module and its arguments."""
    cwd: str
    environ: dict[str, str]


class Forks:
    """A process that is forked, from the first run that needs it to the end of this one."""

    def __init__(self, beside: Forks | None = None, imports: Sequence[str] = ()) -> None:
        """Start one, or let the one *beside* be forked for it, which *imports* more then."""
        self._socket, theirs = socket.socketpair()
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        with theirs:
            if beside is not None:
                fork_requests.send(beside._socket, {"imports": imports}, [theirs.fileno()])
            else:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", __name__, str(theirs.fileno())],
                    cwd=_ROOT,
                    env={name: os.environ[name] for name in os.environ if name != MEASURED},
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                )
        atexit.register(self.close)

    @property
    def is_ours(self) -> bool:
        """Whether this process has started it and may ask it."""
        return self._pid == os.getpid() and self._socket.fileno() != -1

    def run(self, program: Program, files: tuple[TextIO, TextIO], seconds: float | None) -> int:
        """Return the exit code of a fork that is *program*.

        Raises:
            TimeoutError: it did not end in time, and was killed with its process group.
        """
        with self._lock:
            fork_requests.send(
                self._socket, {"program": asdict(program)}, [each.fileno() for each in files]
            )
            self._socket.settimeout(_TO_BEGIN)
            try:
                pid = fork_requests.number(self._socket)
            except TimeoutError as late:
                self._socket.close()  # or else its answer would be taken for the next one's
                raise RuntimeError(f"nothing was forked within {_TO_BEGIN} s") from late
            self._socket.settimeout(seconds)
            try:
                return fork_requests.number(self._socket)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                self._socket.settimeout(_TO_BEGIN)
                fork_requests.number(self._socket)
                raise

    def close(self) -> None:
        """End it."""
        if self._pid == os.getpid():
            self._socket.close()
            if self._process is not None:
                self._process.wait()


_forks: dict[tuple[str, ...], Forks] = {}
"""By what they have imported beside what every run needs."""


def _with_imports(more: tuple[str, ...]) -> Forks:
    if more not in _forks or not _forks[more].is_ours:
        _forks[more] = Forks(_with_imports(()), more) if more else Forks()
    return _forks[more]


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
    program = Program(command, str(cwd), dict(environ))
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as out,
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as err,
    ):
        code: int | None = None
        with contextlib.suppress(TimeoutError):
            code = _with_imports(more).run(program, (out, err), seconds)
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


def serve(asked: socket.socket) -> tuple[Program, list[int]] | None:
    """Fork for each request; return the program and its files in its fork, and None at the end."""
    while (received := fork_requests.receive(asked, 2)) is not None:
        request, files = received
        if (pid := os.fork()) == 0:
            asked.close()
            if "program" in request:
                return Program(**request["program"]), files
            asked = socket.socket(fileno=files[0])
            _import(request["imports"])
            continue
        for each in files:
            os.close(each)
        if "program" in request:
            fork_requests.answer(asked, pid)
            _end_with(asked, pid)
            _, status = os.waitpid(pid, 0)
            with contextlib.suppress(BrokenPipeError):
                fork_requests.answer(asked, os.waitstatus_to_exitcode(status))
    return None


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


def become(program: Program, files: list[int]) -> bool:
    """Let this process be as ``python -m`` would find itself with the command of *program*.

    Or be a worker that this command starts, and return True.
    """
    os.setsid()
    for descriptor, ours in zip(files, (1, 2), strict=True):
        os.dup2(descriptor, ours)
        os.close(descriptor)
    has_workers = not _XDIST.isdisjoint(program.command) and MEASURED not in program.environ
    worker = forked_workers.stand_by() if has_workers else None
    cwd, environ = worker or (program.cwd, program.environ)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    random.seed()
    if "faker.generator" in sys.modules:
        sys.modules["faker.generator"].random.seed()
    sys.argv = ["-c"] if worker else ["-m", *program.command[1:]]
    sys.orig_argv = [sys.executable, "-m", *program.command]
    given = filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:0] = ["" if worker else cwd, *given]
    sys.dont_write_bytecode = bool(environ.get("PYTHONDONTWRITEBYTECODE"))
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    if MEASURED in environ and not worker:
        coverage.process_startup()
    return worker is not None


def _import(names: Sequence[str]) -> None:
    for name in names:
        importlib.import_module(name)
    from _pytest.assertion.rewrite import AssertionRewritingHook

    # pytest warns of a plugin that was imported before it could rewrite its assertions.
    packages = {name for name in sys.modules if "." not in name}
    for name in {"pgsandbox.plugin", *_ANNOUNCED} & {*sys.modules} | packages:
        loader: Any = AssertionRewritingHook.__new__(AssertionRewritingHook)
        sys.modules[name].__loader__ = loader
    if (hypothesis := sys.modules.get("_hypothesis_pytestplugin")) is not None:
        _keep_from_its_import(hypothesis)
    gc.collect()
    gc.freeze()


def _keep_from_its_import(plugin: Any) -> None:
    """Let Hypothesis' plugin say nothing at the end of a run that has not imported Hypothesis.

    It imports it then to learn that it was not used, which takes a third of a small run.
    """
    summary = plugin.pytest_terminal_summary

    def pytest_terminal_summary(terminalreporter: Any) -> None:
        if "hypothesis" in sys.modules:
            summary(terminalreporter)

    plugin.pytest_terminal_summary = pytest_terminal_summary


def _prepare() -> None:
    from pgsandbox.sandbox import endpoint_process
    from tests.kit import forked_endpoints

    endpoint_process.start = forked_endpoints.start
    # No program that is run here should find this project's tests.
    del sys.path[0]
    for name in [each for each in sys.modules if each.partition(".")[0] == "tests"]:
        del sys.modules[name]
    _import(_IMPORTED)


def _run(module: str) -> int:
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except Exception:  # noqa: BLE001 - as an interpreter does
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _end(code: int) -> None:
    """End without taking apart what was imported, which takes a fourth of a small run."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for each in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            each.flush()
    posix._exit(code)  # past coverage's patch, which has kept by now what it saw


if __name__ == "__main__":
    _prepare()
    started = serve(socket.socket(fileno=int(sys.argv[1])))
    if started is not None:
        if become(*started):
            forked_workers.work()
            _end(0)
        _end(_run(started[0].command[0]))
