"""The process that imports a project: ``python -m pgsandbox.cli.init.importing_process REQUEST``.

It refuses every connection, imports, and writes an object of JSON to the file that the request
names.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from pgsandbox.cli.init import imported_objects


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


if __name__ == "__main__":
    answer(sys.argv[1])
