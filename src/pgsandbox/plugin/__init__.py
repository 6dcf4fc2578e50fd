"""The pytest face: the options, and the plugin itself where a project is configured for it.

pytest imports this module in every project that has pgsandbox installed, so it imports neither
SQLAlchemy nor anything that does. Where the tests' project has no ``[tool.pgsandbox]``, nothing
more happens: no marker, no fixture, no output.

* ``marker``: how a test asks for the database;
* ``engines``: the kit's own engines, for its fixtures;
* ``counting``: the statements of a block, and what is said where they are too many;
* ``plans``: the plan of a statement, on statistics that the test sets;
* ``pg``: the fixture ``pg``;
* ``missing_greenlet``: what to do about SQLAlchemy's MissingGreenlet;
* ``missing_table``: why a table that a failing test asks for is not there;
* ``hints``: what experience knows of a failure;
* ``failure_report``: what PostgreSQL refused, and who wrote what;
* ``reporting``: the header, a section below a failing test, the run's summary;
* ``preparation``: when the server is found and the databases are made;
* ``held_values``: what a test's fixtures hold;
* ``coverage``: what the tests have done to the schemas, collected;
* ``scopes``: fixtures of wider scopes, whose rows stand beneath the tests;
* ``hidden_fixtures``: fixtures of others that are named like ours;
* ``refused_hooks``: hooks of conftest files around the tests, told by a message what was refused;
* ``told_once``: a suite that makes or drops databases by itself, and is told so once;
* ``forked``: a child that a test has forked, and that comes back into pytest;
* ``termination``: SIGTERM;
* ``serving``: an application that is served over HTTP for one test;
* ``serving_fixtures``: the fixture ``live_server``;
* ``clock``: the fixture ``db_clock``;
* ``async_fixtures``: the fixtures for asynchronous code;
* ``fixtures``: all other fixtures;
* ``pending_tasks``: tasks that a test leaves unfinished;
* ``verdict``: what is held against a test that has passed;
* ``migration_tests``: ready-made tests of a project's migrations;
* ``factory_tests``: a ready-made test of its factories;
* ``active``: the hooks: what happens in a run, in the order in which it happens.

It may import everything but ``cli``, and only it knows pytest. What does not need pytest belongs a
layer below; a hook belongs into ``active``, which calls what does the work.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pgsandbox import config

_NAME = "pgsandbox-active"
_ROOT = pytest.StashKey[Path | None]()
_RUNS: list[pytest.Config] = []
"""The runs of pytest that go on in this process: one, and those that its tests start inside."""
_SEARCH = pytest.StashKey[Any]()


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


@pytest.hookimpl  # pytest-env and others that set variables come first; pytest itself comes last
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Install the interceptor before a conftest of the project can make a connection."""
    _activate(early_config, early_config.known_args_namespace)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Do the same where this plugin was loaded by a conftest, after the hook above."""
    _activate(config, config.option)


@pytest.hookimpl(tryfirst=True, optionalhook=True)  # pytest 7 has no collectors of directories
def pytest_collect_directory(path: Path, parent: pytest.Collector) -> None:
    """Let no test run that belongs to another project than the one whose settings hold."""
    _refuse_strangers(path, parent.config)


@pytest.hookimpl(tryfirst=True)
def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> None:
    """Do the same where pytest goes to a file without its directory."""
    _refuse_strangers(file_path.parent, parent.config)


def _activate(pytest_config: pytest.Config, options: Any) -> None:
    if pytest_config.pluginmanager.hasplugin(_NAME):
        return
    if pytest_config not in _RUNS:
        _RUNS.append(pytest_config)
        pytest_config.add_cleanup(lambda: _RUNS.remove(pytest_config))
    is_nested = len(_RUNS) > 1
    ended = sys.modules.get("pgsandbox.plugin.active")
    if ended is not None and not is_nested:
        ended.remove_last_guard()
    flags = {
        setting.key: getattr(options, setting.dest, None)
        for setting in config.SETTINGS
        if setting.flag is not None
    }
    try:
        root = _root_of(pytest_config, options)
        pytest_config.stash[_ROOT] = root
        if root is None and not _is_mentioned(flags):
            return
        settings = config.read(root or pytest_config.rootpath, os.environ, flags)
        if settings is None:
            return
        # Only a configured project pays for SQLAlchemy.
        from pgsandbox.plugin.active import ActivePlugin

        plugin = ActivePlugin(pytest_config, settings)
        plugin.is_nested = is_nested
    except Exception as error:  # noqa: BLE001 - what is not ours goes on
        raise pytest.UsageError(_message_of(error)) from None
    pytest_config.stash[_ROOT] = settings.root
    pytest_config.pluginmanager.register(plugin, _NAME)


def _root_of(pytest_config: pytest.Config, options: Any) -> Path | None:
    """The root of the project that the tests belong to, which pytest's rootdir need not be."""
    here = pytest_config.invocation_params.dir
    named = [str(each).partition("::")[0] for each in getattr(options, "file_or_dir", None) or ()]
    if not named and here == pytest_config.rootpath:
        named = [str(each) for each in pytest_config.getini("testpaths")]
    tests = [path for each in named for path in config.named_paths(here, each)] or [here]
    # pytest loads the conftest files of these before it collects anything (its manual, "Initial
    # conftests").
    below = [each for start in tests if start.is_dir() for each in start.glob("test*")]
    found = config.find([*tests, *filter(Path.is_dir, below), here])
    return found or config.find([pytest_config.rootpath])


def _is_mentioned(flags: dict[str, Any]) -> bool:
    """Whether the command line or the environment sets something of ours."""
    return any(flags.values()) or any(name.startswith("PGSANDBOX_") for name in os.environ)


def _refuse_strangers(folder: Path, pytest_config: pytest.Config) -> None:
    """Refuse tests in *folder* if a project configures us there that this run knows nothing of."""
    search = pytest_config.stash.setdefault(_SEARCH, None) or config.Search()
    pytest_config.stash[_SEARCH] = search
    try:
        root = search.root_of(folder)
        held = pytest_config.stash.get(_ROOT, None)
        if root is None or (held is not None and root.samefile(held)):
            return
        raise config.stray_tests(folder, root, held)
    except Exception as error:  # noqa: BLE001 - what is not ours goes on
        # pytest reports this kind by its words alone, and goes on to no test below.
        raise pytest.Collector.CollectError(_message_of(error)) from None


def _message_of(error: Exception) -> str:
    """What *error* says, if it is one of ours; any other is raised as it is."""
    # Our errors are only there, and only imported, where one of them has been raised.
    from pgsandbox.errors import PgSandboxError

    if not isinstance(error, PgSandboxError):
        raise error
    return f"{type(error).__name__}: {error}"
