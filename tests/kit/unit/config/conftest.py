"""Projects to read settings from, and modules to refer to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pgsandbox.config import Settings, read

Read = Callable[..., Settings | None]


@pytest.fixture
def read_project(tmp_path: Path) -> Read:
    """Read the settings of a project with this pyproject.toml, environment and command line."""

    def read_project(
        text: str | None,
        environ: Mapping[str, str] | None = None,
        flags: Mapping[str, object] | None = None,
    ) -> Settings | None:
        if text is not None:
            (tmp_path / "pyproject.toml").write_text(text)
        return read(tmp_path, environ or {}, flags or {})

    return read_project


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Write a module that can be imported for the length of the test."""
    monkeypatch.syspath_prepend(tmp_path)

    def module(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)

    return module
