"""How agents are called and how project paths are written."""

from __future__ import annotations

import posixpath
from uuid import UUID


def agent_name(project_name: str, session_uuid: UUID) -> str:
    """Return the project's name, a slash, and the first eight characters of the agent's UUID."""
    return f"{project_name}/{str(session_uuid)[:8]}"


def project_path(path: str) -> str:
    """Return *path* in the one spelling under which a project is registered.

    ``/srv/one/``, ``/srv//one`` and ``/srv/./one`` are one project. Symbolic links are not
    followed: the path is the agent's, and may be of another machine.

    :raises ValueError: if the path is not absolute.
    """
    if not path.startswith("/"):
        raise ValueError("must be an absolute path")
    # POSIX lets two leading slashes mean something else; nobody's project does.
    return "/" + posixpath.normpath(path).lstrip("/")


def default_project_name(path: str) -> str:
    """Return the last part of a project's path, or ``/`` for the root itself."""
    return posixpath.basename(project_path(path)) or "/"
