"""What the tests of the commands share: a server of their own, and a project that names it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgsandbox import databases, servers
from pgsandbox.servers import Server
from tests.kit.external import External, external_server


@pytest.fixture(scope="session")
def external() -> Iterator[External]:
    """A server that no other run clears up, and whose commits wait for the disk."""
    with external_server(None, "synchronous_commit=on") as server:
        yield server


@pytest.fixture
def server(external: External, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The same as pgsandbox sees it; TEST_DATABASE_URL names it for a project in this directory."""
    url = external.url.set(database="shop_test").render_as_string(hide_password=False)
    (tmp_path / "pyproject.toml").write_text('[tool.pgsandbox]\nmetadata = "models:Base"\n')
    monkeypatch.setenv("TEST_DATABASE_URL", url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    server = servers.given(external.url, reason="a test", source="a test")
    yield server
    names = [each.name for each in databases.leftovers(server)]
    external.execute(*(f'DROP DATABASE "{name}" WITH (FORCE)' for name in names))
