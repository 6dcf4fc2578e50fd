"""The settings of a project: each declared once, read from four places, and knowing its source.

``read`` gives the settings of a project, or None where pgsandbox is not configured. ``resolve``
gives the object that one of them refers to. ``SETTINGS`` is the declaration that everything else is
made from. Standard library only; importing this imports nothing of the user's.
"""

from pgsandbox.config.declared import BIND_SETTINGS, OTHER_VARIABLES, SETTINGS, Setting
from pgsandbox.config.reading import read
from pgsandbox.config.references import resolve
from pgsandbox.config.settings import Bind, Settings, Value, header_lines, rows

__all__ = [
    "BIND_SETTINGS",
    "OTHER_VARIABLES",
    "SETTINGS",
    "Bind",
    "Setting",
    "Settings",
    "Value",
    "header_lines",
    "read",
    "resolve",
    "rows",
]
