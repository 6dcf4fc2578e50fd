"""Projects to run, as for the plugin; servers of each version, as for databases."""

from __future__ import annotations

from tests.kit.integration.databases.conftest import running_server
from tests.kit.integration.plugin.conftest import make_project, server

__all__ = ["make_project", "running_server", "server"]
