"""The pytest face: the options, and the plugin itself where a project is configured for it.

pytest imports this module in every project that has pgsandbox installed, so it imports neither
SQLAlchemy nor anything that does. Where the project has no ``[tool.pgsandbox]``, nothing more
happens: no marker, no fixture, no output.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pgsandbox import config

_NAME = "pgsandbox-active"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare one option for each setting that has a flag."""
    group = parser.getgroup("pgsandbox", "PostgreSQL test databases (pgsandbox)")
    for setting in config.SETTINGS:
        if setting.flag is None:
            continue
        more: dict[str, Any] = {}
        if setting.kind.is_switch:
            more["action"] = "store_true"
        elif setting.choices:
            more["choices"] = setting.choices
        group.addoption(setting.flag, dest=setting.dest, default=None, help=setting.meaning, **more)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Stand in every engine's way before a conftest of the project can make a connection."""
    _activate(early_config, early_config.known_args_namespace)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Do the same where this plugin was loaded by a conftest, after the hook above."""
    _activate(config, config.option)


def _activate(pytest_config: pytest.Config, options: Any) -> None:
    if pytest_config.pluginmanager.hasplugin(_NAME):
        return
    flags = {
        setting.key: getattr(options, setting.dest, None)
        for setting in config.SETTINGS
        if setting.flag is not None
    }
    if not (any(flags.values()) or _is_mentioned(pytest_config.rootpath)):
        return
    from pgsandbox.errors import PgSandboxError

    try:
        settings = config.read(pytest_config.rootpath, os.environ, flags)
    except PgSandboxError as error:
        raise pytest.UsageError(f"{type(error).__name__}: {error}") from None
    if settings is None:
        return
    # Only a configured project pays for SQLAlchemy.
    from pgsandbox.plugin.active import ActivePlugin

    pytest_config.pluginmanager.register(ActivePlugin(pytest_config, settings), _NAME)


def _is_mentioned(root: Path) -> bool:
    """Whether the project at *root*, or the environment, holds our name: most are done here."""
    if any(name.startswith("PGSANDBOX_") for name in os.environ):
        return True
    try:
        return b"pgsandbox" in (root / "pyproject.toml").read_bytes()
    except OSError:
        return False
