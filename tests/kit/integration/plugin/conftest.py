"""What the tests of the plugin share: projects to run, and the server that they run on."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping

import pytest

from pgsandbox import servers
from pgsandbox.servers import Server
from tests.kit.external import External, external_server
from tests.kit.integration.plugin.projects import MODELS, Project, execute

MakeProject = Callable[..., Project]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The embedded server that the projects use, too; it stays up between their runs."""
    server = servers.embedded(reason="a test looks on")
    yield server
    server.release()


@pytest.fixture(scope="session")
def external() -> Iterator[External]:
    """A server on a TCP port that asks for passwords."""
    with external_server() as server:
        yield server


@pytest.fixture(scope="module")
def bare_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A directory without any file."""
    return Project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory, server: Server) -> MakeProject:
    """Write a project that uses pgsandbox: its files, its settings, its lines for pytest."""

    def make(files: Mapping[str, str], settings: str = "", ini: str = "") -> Project:
        project = Project(tmp_path_factory.mktemp("project"))
        project.write({"models.py": MODELS, **files})
        project.configure(f'[tool.pgsandbox]\nmetadata = "models:Base"\n{settings}', ini)
        return project

    return make


@pytest.fixture(scope="module")
def names(server: Server) -> Iterator[dict[str, str]]:
    """A development database and one that is allowed, both for everybody to open."""
    token = secrets.token_hex(4)
    names = {kind: f"pgs_{token}_{kind}" for kind in ("allowed", "development")}
    for name in names.values():
        execute(server, "create database {}", name)
    yield names
    for name in names.values():
        execute(server, "drop database {} with (force)", name)
