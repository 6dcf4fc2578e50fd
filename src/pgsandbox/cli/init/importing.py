"""The one step that imports anything of a project, in a process of its own.

``imported`` starts it and returns what it saw. There, ``answer`` refuses every connection, imports,
and writes an object of JSON to the file that it is given.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

_SECONDS = 120
_PROGRAM = "import sys; from pgsandbox.cli.init.importing import answer; answer(sys.argv[1])"


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
            done = subprocess.run(
                [sys.executable, "-c", _PROGRAM, json.dumps(request)],
                cwd=root,
                env={**os.environ, **environ},
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            why = f"importing took longer than {_SECONDS} seconds"
            return Imported(error=why, has_ended=True)
        if not answer.is_file():
            said = done.stderr.decode(errors="replace").strip().splitlines()
            why = f"importing ended the process: {said[-1] if said else ''}"
            return Imported(error=why, has_ended=True)
        return Imported(**json.loads(answer.read_text("utf-8")))


def refuse_connections() -> None:
    """Let nothing in this process connect to anything: no engine, no driver, no socket, no SQLite.

    The process is ours and ends after the import, so that what libpq would do past Python's sockets
    can be replaced where the drivers offer it.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    sys.addaudithook(_refuse_audited)
    event.listen(Engine, "do_connect", _refuse)
    for name, places in _OF_LIBPQ.items():
        if importlib.util.find_spec(name) is None:
            continue
        module = importlib.import_module(name)
        for place in places:
            owner, _, attribute = place.rpartition(".")
            setattr(getattr(module, owner) if owner else module, attribute, _refuse)


_OF_LIBPQ = {
    "psycopg2": ("connect",),
    "psycopg": ("connect", "Connection.connect", "AsyncConnection.connect"),
}


class Refused(ConnectionRefusedError):
    """What the project's code gets from whatever it tries to connect to."""


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise Refused("pgsandbox init imports, and connects to nothing")


def _refuse_audited(event: str, _: Any) -> None:
    if event in ("socket.connect", "sqlite3.connect"):
        _refuse()


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    from pgsandbox.cli.init import imported_objects

    root = Path(request["root"])
    for path in reversed(request["paths"]):
        sys.path.insert(0, path)
    refuse_connections()
    try:
        seen = imported_objects.seen(root, request["references"], request["others"])
        if request["factory"]:
            seen |= imported_objects.called(root, request["factory"], Refused)
        return seen
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a project's module may raise anything
        return imported_objects.failure(root, error)


def answer(text: str) -> None:
    """Do what the request *text* asks for, write the answer to its file, and end the process."""
    request = json.loads(text)
    Path(request["answer"]).write_text(json.dumps(_answer(request)), "utf-8")
    # What the application started when it was imported is not waited for.
    os._exit(0)
