"""Projects to run, as for the plugin."""

from __future__ import annotations

from tests.kit.integration.plugin.conftest import caches, make_project, server

__all__ = ["caches", "make_project", "server"]
