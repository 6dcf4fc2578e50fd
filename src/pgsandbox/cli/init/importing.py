"""The one step that imports anything of a project, which ``importing_process`` does."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgsandbox.cli.init import interpreter

_SECONDS = 120
_PROGRAM = "pgsandbox.cli.init.importing_process"


@dataclass(frozen=True)
class Imported:
    """What importing the project's modules showed."""

    tables: Mapping[str, int] = field(default_factory=dict)
    """How many tables each reference's MetaData has."""
    engines: Sequence[Mapping[str, Any]] = ()
    """Engines that are there after the import: reference, url, is_async."""
    models: Sequence[Mapping[str, Any]] = ()
    """The mapped classes with their columns."""
    missing: Sequence[str] = ()
    """Environment variables without which nothing can be imported."""
    error: str = ""
    """Why the import failed, in one line."""
    place: str = ""
    """The project's line at which it failed."""
    factory_error: str = ""
    """Why the application's factory can't be called without arguments, in one line."""
    factory_place: str = ""
    """The project's line at which it failed."""
    has_ended: bool = False
    """Whether the process came to its end without an answer, or to none at all."""


def imported(
    root: Path,
    paths: Sequence[Path],
    references: Sequence[str],
    others: Sequence[str],
    environ: Mapping[str, str],
    factory: str = "",
) -> Imported:
    """Import *references*, then the modules *others*, and return what is there then.

    A *factory* is called, if it is one that can be called without arguments.

    The project's own process is never this one: what its modules do when they are imported, and
    what they print, stays there. *environ* is set for it besides this process's own.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        request = {
            "answer": str(answer),
            "root": str(root),
            "paths": [str(each) for each in paths],
            "references": list(references),
            "others": list(others),
            "factory": factory,
        }
        try:
            done = interpreter.run(
                _PROGRAM,
                json.dumps(request),
                cwd=root,
                environ={**os.environ, **environ},
                seconds=_SECONDS,
            )
        except subprocess.TimeoutExpired:
            why = f"importing took longer than {_SECONDS} seconds"
            return Imported(error=why, has_ended=True)
        if not answer.is_file():
            said = done.stderr.strip().splitlines()
            why = f"importing ended the process: {said[-1] if said else ''}"
            return Imported(error=why, has_ended=True)
        return Imported(**json.loads(answer.read_text("utf-8")))
