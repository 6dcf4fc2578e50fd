"""What loading the plugin costs a project that has pgsandbox installed and does not use it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import pgsandbox

_SOURCE = str(Path(pgsandbox.__file__).parents[1])
_PROGRAM = f"""
import json, sys
sys.path.insert(0, {_SOURCE!r})
import pytest
before = set(sys.modules)
import pgsandbox.plugin
print(json.dumps(sorted(set(sys.modules) - before)))
"""


@pytest.fixture(scope="module")
def loaded() -> list[str]:
    """The modules that come with the plugin, in a process that has nothing but pytest."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", _PROGRAM], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_only_the_declarations_of_the_options_are_loaded(loaded: list[str]) -> None:
    """pytest wants to know the options everywhere; all else waits for a project with settings."""
    ours = [name for name in loaded if name.startswith("pgsandbox")]

    assert ours == [
        "pgsandbox",
        "pgsandbox.config",
        "pgsandbox.config.declared",
        "pgsandbox.config.kinds",
        "pgsandbox.plugin",
    ]


def test_nothing_else_is_loaded(loaded: list[str]) -> None:
    """No library, and next to nothing of the standard one: each module costs its milliseconds."""
    others = [name for name in loaded if not name.startswith("pgsandbox")]

    assert others == []
