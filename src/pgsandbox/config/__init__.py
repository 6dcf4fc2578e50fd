"""The settings of a project: each declared once, read from four places, and knowing its source.

* ``discovery``: `find` gives the root of the project that tests belong to, `named_paths` what an
  argument of pytest names;
* ``kinds``: what a value may be, and how it is read from TOML and from text;
* ``declared``: ``Settings``, whose attributes are the declarations of all settings;
* ``settings``: settings as people read them;
* ``reading``: `read` gives a project's settings, or None where pgsandbox is not configured;
* ``references``: `resolve` gives the object that a setting refers to.

Standard library, ``guard`` and ``errors`` only; nothing of the user's is imported but by `resolve`.
A new setting is one attribute of ``Settings``; what two settings together may not say belongs into
``reading``.

pytest asks for the declarations in every project that has pgsandbox installed; what reads them is
imported when somebody asks for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from pgsandbox.config.declared import (
    BIND_SETTINGS,
    OTHER_VARIABLES,
    SETTINGS,
    Bind,
    Setting,
    Settings,
    Value,
)

if TYPE_CHECKING:
    from pgsandbox.config.discovery import FILE, Search, find, named_paths, stray_tests
    from pgsandbox.config.reading import read
    from pgsandbox.config.references import failures_told, imported, resolve
    from pgsandbox.config.settings import header_lines, rows

__all__ = [
    "BIND_SETTINGS",
    "FILE",
    "OTHER_VARIABLES",
    "SETTINGS",
    "Bind",
    "Search",
    "Setting",
    "Settings",
    "Value",
    "failures_told",
    "find",
    "header_lines",
    "imported",
    "named_paths",
    "read",
    "resolve",
    "rows",
    "stray_tests",
]

_ELSEWHERE = {
    **dict.fromkeys(("FILE", "Search", "find", "named_paths", "stray_tests"), "discovery"),
    "read": "reading",
    **dict.fromkeys(("failures_told", "imported", "resolve"), "references"),
    **dict.fromkeys(("header_lines", "rows"), "settings"),
}


def __getattr__(name: str) -> object:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
