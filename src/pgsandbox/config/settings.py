"""The settings of one run as people read them, each with the place it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pgsandbox.config.declared import SETTINGS, Bind, Settings
from pgsandbox.guard import masked

TEST_DATABASE_URL = "TEST_DATABASE_URL"
"""The environment variable that gives the test database itself."""


def rows(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield key, value as people read it, and source of every setting, in the reference's order."""
    for setting in SETTINGS:
        value = settings.values[setting.key]
        yield setting.key, shown(value.value, settings.root), value.source
    if settings.test_database_url is not None:
        yield TEST_DATABASE_URL, shown(settings.test_database_url), "environment"


def header_lines(settings: Settings) -> list[str]:
    """Return what the report header says: every setting that somebody set, with its source."""
    said = [
        f"{key} = {value} ({source})"
        for key, value, source in rows(settings)
        if source != "default"
    ]
    return ["settings: " + ", ".join(said)]


def shown(value: object, root: Path | None = None) -> str:
    """Return *value* as it would stand in TOML, without passwords; paths are seen from *root*."""
    said = str(value)
    match value:
        case None:
            said = "none"
        case bool():
            said = "true" if value else "false"
        case str():
            said = f'"{masked(value)}"'
        case Path():
            seen = value.relative_to(root) if root and value.is_relative_to(root) else value
            said = f'"{masked(seen.as_posix())}"'
        case list() | tuple():
            said = "[" + ", ".join(shown(item, root) for item in value) + "]"
        case Mapping():
            items = (f"{key} = {shown(each, root)}" for key, each in value.items())
            said = "{" + ", ".join(items) + "}"
        case Bind():
            said = shown({key: each.value for key, each in value.values.items()}, root)
    return said
