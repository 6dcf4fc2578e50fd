"""Runs a suite on a target, to its end, whatever its tests do to its process."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.kit.driver_suites.outcomes import close, is_complete, read
from tests.kit.driver_suites.suites import Suite
from tests.kit.driver_suites.targets import TARGETS, Circumstances, Target

_INSIDE = Path(__file__).parent / "inside"
_STARTS = 300
"""How often a suite goes on after its process has ended."""
_LOST = "SandboxLost OuterTransactionEnded"
"""What the endpoint says once the test's transaction is gone, which the kit heals between tests."""


@dataclass(frozen=True)
class Runner:
    """How suites are run."""

    python: Path
    """An interpreter with pytest, the drivers and what the suites need."""
    folder: Path
    """Where outcomes and outputs go."""
    binaries: Path | None = None
    settings: tuple[str, ...] = ()
    limit: float = 60.0
    """Seconds for one test."""
    limit_of_process: float = 3600.0
    """Seconds for one process of pytest."""
    words: tuple[str, ...] = ()
    """More arguments of pytest."""

    def run(self, suite: Suite, checkout: Path, target: str, number: int) -> Path:
        """Run *suite* of *checkout* on *target*; return the file with its outcomes.

        A run that the folder has already, whole, is not repeated; one that was broken off goes on.
        Each process has a target of its own, as the one before may have left its own in a bad way.
        """
        record = self.folder / f"{suite.name}-{target}-{number}.jsonl"
        if is_complete(record):
            return record
        project = self._copy(suite, checkout)
        circumstances = Circumstances(
            self.binaries, self.settings, suite.database, suite.schemas, suite.extensions
        )
        for _ in range(_STARTS):
            before = len(read(record))
            with TARGETS[target](circumstances) as opened:
                self._pytest(suite, project, opened, record)
            if is_complete(record):
                break
            close(record)
            if len(read(record)) == before:
                raise RuntimeError(f"{suite.name} does not start: see {_log_of(record)}")
        return record

    def _copy(self, suite: Suite, checkout: Path) -> Path:
        project = self.folder / "copies" / suite.name
        shutil.rmtree(project, ignore_errors=True)
        project.mkdir(parents=True)
        for name in suite.files:
            if (checkout / name).is_dir():
                shutil.copytree(checkout / name, project / name)
            else:
                shutil.copy(checkout / name, project / name)
        for name, ours in suite.replaced:
            (project / name).parent.mkdir(exist_ok=True)
            shutil.copy(_INSIDE / ours, project / name)
        return project

    def _pytest(self, suite: Suite, project: Path, target: Target, record: Path) -> None:
        arguments, variables = suite.connect(target)
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("PG", "PY"))
        }
        environ |= variables
        environ |= {
            "PYTHONPATH": str(_INSIDE),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",  # so that sets come in the same order in every run
            "SUITE_RECORD": str(record),
            "SUITE_LIMIT": str(self.limit),
            "SUITE_LOST": _LOST,
        }
        command = [str(self.python), *suite.interpreter, "-m", "pytest", "-p", "suite_recorder"]
        command += ["--cache-clear", "-p", "no:randomly", "-q", "--tb=short"]
        command += [*suite.tests, *arguments, *self.words]
        with _log_of(record).open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=project,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                process.wait(self.limit_of_process)
            except subprocess.TimeoutExpired:
                log.write(b"\nended from outside: too slow\n")
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _log_of(record: Path) -> Path:
    return record.with_suffix(".log")
