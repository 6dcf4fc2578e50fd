"""The data file of schema coverage, and the sum of several."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pgsandbox.errors import ConfigurationError, Fact
from pgsandbox.schema.coverage.data import VERSION, Coverage, merged


def write(coverages: Mapping[str, Coverage], file: Path) -> None:
    """Write *coverages* to *file*, by the names of their databases; `read` reads it.

    Raises:
        ConfigurationError: it can't be written there.
    """
    found = {
        name: {"percent": round(each.percent, 2), **each.as_dict()}
        for name, each in coverages.items()
    }
    text = json.dumps({"version": VERSION, "databases": found}, indent=1) + "\n"
    with writing_to(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")


@contextmanager
def writing_to(place: Path) -> Iterator[None]:
    """Name *place* where the operating system refuses to write there.

    Raises:
        ConfigurationError: it does.
    """
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"Schema coverage could not be written to {place}.",
            facts=[Fact("reason", str(error))],
            remedy="Name a place that can be written: the settings coverage-file, coverage-json "
            "and coverage-html, or the options of the command line.",
        ) from error


def read(file: Path) -> dict[str, Coverage]:
    """Return what `write` has written.

    Raises:
        ConfigurationError: it is not there, or nothing that this version has written.
    """
    try:
        data = json.loads(file.read_text("utf-8"))
        if data["version"] != VERSION:
            raise ValueError(f"it is of version {data['version']}")
        return {name: Coverage.from_dict(each) for name, each in data["databases"].items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{file} is no data file of schema coverage.",
            facts=[Fact("file", str(file)), Fact("reason", str(error))],
            remedy="A run of pytest with --pg-coverage writes one.",
        ) from error


def combined(several: Iterable[Mapping[str, Coverage]]) -> dict[str, Coverage]:
    """Return the sum of *several* runs, database by database."""
    every = list(several)
    names = dict.fromkeys(name for each in every for name in each)
    return {name: merged(each[name] for each in every if name in each) for name in names}


def as_dicts(coverages: Mapping[str, Coverage]) -> dict[str, Any]:
    """Return *coverages* as a worker sends them."""
    return {name: each.as_dict() for name, each in coverages.items()}


def from_dicts(data: Mapping[str, Any]) -> dict[str, Coverage]:
    """Return what a worker has sent."""
    return {name: Coverage.from_dict(each) for name, each in data.items()}
