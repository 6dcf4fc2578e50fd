"""Everything the application refuses, one class per cause.

::

    HeadspaceError
    ├── ConfigurationError   config.yaml or the environment says something unusable
    ├── NotFound             no such project, agent, task, turn, objective
    ├── Conflict             the request contradicts what is stored
    └── Invalid              the input itself is wrong; says which field and why
"""

from __future__ import annotations

from collections.abc import Mapping


class HeadspaceError(Exception):
    """The base of every error that the application raises on purpose."""


class ConfigurationError(HeadspaceError):
    """The configuration can't be used; the message says which value and where it came from."""


class NotFound(HeadspaceError):
    """What was asked for does not exist."""


class Conflict(HeadspaceError):
    """The request contradicts what is stored: an ended agent's turn, another project's session."""


class Invalid(HeadspaceError):
    """The input is wrong.

    ``fields`` says for each wrong field what is wrong with it.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__("; ".join(f"{name}: {why}" for name, why in self.fields.items()))
