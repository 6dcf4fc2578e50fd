"""``pgsandbox explain``: the page of an error, a rule or a setting, in the terminal.

The pages of the errors are files beside this module, written from the site's by
``tests/kit/unit/docs/error_pages.py``; rules and settings say themselves what they are.
"""

from __future__ import annotations

import argparse
import difflib
import io
import sys
import textwrap
from pathlib import Path
from typing import Any

from pgsandbox import errors
from pgsandbox.cli import FINE
from pgsandbox.config import SETTINGS, Setting
from pgsandbox.config.settings import shown
from pgsandbox.errors import ConfigurationError, Fact, PgSandboxError
from pgsandbox.lint import RULES, Rule

PAGES = Path(__file__).parent / "pages"
"""The pages of the errors, each under its name on the site."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="an error (ForeignDatabase), a rule (PGS101) or a setting (redirect); "
        "without one, all names",
    )


def run(options: argparse.Namespace) -> int:
    """Print the page, or the names of all pages."""
    # A page may hold what the terminal's encoding does not.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stdout.write(f"{page_of(options.name) if options.name else _names()}\n")
    return FINE


def page_of(name: str) -> str:
    """Return the page of *name*, in whatever way people write it.

    Raises:
        ConfigurationError: nothing has that name.
    """
    pages = {**_settings(), **_rules(), **_errors()}
    wanted = _plain(name)
    if wanted not in pages:
        near = difflib.get_close_matches(wanted, pages, n=1)
        said = f'; did you mean "{_written(near[0])}"?' if near else "."
        raise ConfigurationError(
            f'No error, rule or setting is called "{name}"{said}',
            facts=[Fact("names", "pgsandbox explain lists them")],
            remedy="Give the name as the message has it, as in: pgsandbox explain ForeignDatabase.",
        )
    return pages[wanted]


def explain_rule(rule: Rule) -> str:
    """Return what there is to say of *rule*, with its examples."""
    prose = [f"{rule.code}: {rule.title}", rule.why, rule.instead]
    parts = [textwrap.fill(each, 80, break_on_hyphens=False) for each in prose]
    for heading, code in (("Not so:", rule.bad), ("But:", rule.good)):
        if code:
            parts += [heading, textwrap.indent(code.rstrip(), "    ")]
    return "\n\n".join([*parts, f"Background: {rule.page}"])


def _explain_setting(setting: Setting[Any]) -> str:
    default = "required" if setting.is_required else shown(setting.default)
    place = "[tool.pgsandbox]" if setting.in_file else "not in the file: it is for a single run"
    rows = [
        ("value", setting.kind.allowed),
        ("default", default),
        ("in pyproject.toml", place),
        ("flag", setting.flag or "none"),
        ("variable", setting.variable or "none"),
    ]
    table = "\n".join(f"  {name:<17}  {value}" for name, value in rows)
    return "\n\n".join(
        [
            f"{setting.key}, a setting",
            textwrap.fill(setting.meaning, 80, break_on_hyphens=False),
            table,
            f"Background: reference/settings/#{setting.key}",
        ]
    )


def _names() -> str:
    parts = []
    for title, names in (
        ("Errors", [cls.__name__ for cls in _classes()]),
        ("Rules of pgsandbox lint", [rule.code for rule in RULES]),
        ("Settings", [setting.key for setting in SETTINGS]),
    ):
        listed = textwrap.fill(
            ", ".join(names),
            80,
            initial_indent="  ",
            subsequent_indent="  ",
            break_on_hyphens=False,
        )
        parts.append(f"{title}\n{listed}")
    return "\n\n".join([*parts, "pgsandbox explain NAME prints the page of one."])


def _classes() -> list[type[PgSandboxError]]:
    found = [each for each in vars(errors).values() if isinstance(each, type)]
    return [each for each in found if issubclass(each, PgSandboxError)]


def _errors() -> dict[str, str]:
    return {
        _plain(name): (PAGES / f"{cls.page}.txt").read_text("utf-8").rstrip("\n")
        for cls in _classes()
        for name in (cls.__name__, cls.page)
    }


def _rules() -> dict[str, str]:
    return {_plain(rule.code): explain_rule(rule) for rule in RULES}


def _settings() -> dict[str, str]:
    return {
        _plain(name): _explain_setting(setting)
        for setting in SETTINGS
        for name in (setting.key, setting.flag, setting.variable)
        if name
    }


def _plain(name: str) -> str:
    """Return *name* without case, dashes and underscores, which nobody remembers."""
    last = name.strip().rpartition(".")[2]
    return last.replace("-", "").replace("_", "").lower()


def _written(plain: str) -> str:
    names = [*(cls.__name__ for cls in _classes()), *(rule.code for rule in RULES)]
    names += [setting.key for setting in SETTINGS]
    return next((name for name in names if _plain(name) == plain), plain)
