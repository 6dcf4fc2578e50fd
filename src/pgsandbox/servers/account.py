"""Which user the server runs as: the present one, or another if the present one is root.

PostgreSQL refuses to run as root. Root therefore steps down to ``postgres`` if the machine has that
user, else to ``nobody``; no user is ever added.
"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgsandbox.errors import Fact, ServerDidNotStart


@dataclass(frozen=True)
class Account:
    """The user that runs the server and owns its files."""

    uid: int
    """User id."""
    gid: int
    """Primary group id; no other group is kept."""
    is_other: bool
    """Whether it is another user than the present one, which only root can step down to."""

    def popen_arguments(self) -> dict[str, Any]:
        """Keyword arguments that make ``subprocess`` run a program as this user."""
        if not self.is_other:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_run(self, program: Path) -> bool:
        """Whether every folder above *program*, and the program, lets this user through.

        Only permission bits are read, and only when it is another user.
        """
        if not self.is_other:
            return os.access(program, os.X_OK)
        return all(self._may_execute(step.stat()) for step in (program, *program.parents))

    def _may_execute(self, status: os.stat_result) -> bool:
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def of_the_server() -> Account:
    """The account that an embedded server of this process runs under.

    Raises ServerDidNotStart for root on a machine with neither ``postgres`` nor ``nobody``.
    """
    uid = os.geteuid()
    if uid != 0:
        return Account(uid, os.getegid(), is_other=False)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, is_other=True)
    raise ServerDidNotStart(
        "PostgreSQL refuses to run as root, and this machine has no other user to run it.",
        facts=[Fact("looked for", "postgres, nobody", "/etc/passwd")],
        remedy="Add a user named postgres, run as an ordinary user, or give a server's URL.",
    )
