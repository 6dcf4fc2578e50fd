"""An env.py that reads the ini file of its environment where there is none."""

from __future__ import annotations

import linecache
import traceback
from pathlib import Path

REMEDY = (
    "env.py reads config.config_file_name, which is None: `migrations` names a directory, and "
    "neither that nor the one above has an alembic.ini. Name the ini file instead, "
    'migrations = "path/to/alembic.ini"; or, where the project has none, let env.py read it only '
    "if it is there: if config.config_file_name is not None: fileConfig(config.config_file_name)."
)


def nearby_ini(location: Path) -> Path | None:
    """Return the ini file of the environment in the directory *location*, in it or above it."""
    nearby = (location / "alembic.ini", location.parent / "alembic.ini")
    return next((file for file in nearby if file.is_file()), None)


def is_cause(error: Exception, location: Path) -> bool:
    """Whether *error* comes of reading the ini file that the environment does not have."""
    if not location.is_dir() or nearby_ini(location) is not None:
        return False
    return isinstance(error, TypeError | AttributeError) and any(
        "config_file_name" in linecache.getline(frame.f_code.co_filename, line)
        or (frame.f_code.co_name == "fileConfig" and frame.f_locals.get("fname", "") is None)
        for frame, line in traceback.walk_tb(error.__traceback__)
    )
