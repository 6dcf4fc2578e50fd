"""The data file of schema coverage, and the sum of several."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pgsandbox.errors import ConfigurationError, Fact
from pgsandbox.schema.coverage.data import VERSION, Coverage, merged


def write(coverages: Mapping[str, Coverage], file: Path) -> None:
    """Write *coverages* to *file*, by the names of their databases; `read` reads it."""
    found = {
        name: {"percent": round(each.percent, 2), **each.as_dict()}
        for name, each in coverages.items()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"version": VERSION, "databases": found}, indent=1) + "\n", "utf-8")


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
