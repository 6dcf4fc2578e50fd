"""Writes the tables of docs/reference/settings.md from the declarations of the settings.

::

    python -m tests.kit.unit.docs.settings_table            write the page's tables anew
    python -m tests.kit.unit.docs.settings_table --check    say whether they are up to date
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pgsandbox.config import OTHER_VARIABLES, SETTINGS, Setting
from pgsandbox.config.settings import shown

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "settings.md"

_TABLE = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def page(text: str) -> str:
    """*text* with what stands between its marks made from the declarations."""
    made = {"settings": _settings, "details": _details, "variables": _variables}
    return _TABLE.sub(lambda match: f"{match[1]}\n{made[match[2]]()}\n{match[3]}", text)


def _settings() -> str:
    rows = [
        f"| [`{each.key}`](#{each.key}) | {_default(each)} | {each.meaning} |" for each in SETTINGS
    ]
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *rows, ""])


def _details() -> str:
    return "\n".join(_detail(each) for each in SETTINGS)


def _detail(setting: Setting) -> str:
    place = "`[tool.pgsandbox]`" if setting.in_file else "not in the file: it is for a single run"
    lines = [
        f"### `{setting.key}` {{ #{setting.key} }}",
        "",
        setting.meaning,
        "",
        "| | |",
        "|---|---|",
        f"| value | {setting.kind.allowed} |",
        f"| default | {_default(setting)} |",
        f"| in pyproject.toml | {place} |",
        f"| flag | {_code(setting.flag)} |",
        f"| variable | {_code(setting.variable)} |",
        "",
    ]
    return "\n".join(lines)


def _variables() -> str:
    rows = [f"| `{name}` | {meaning} |" for name, meaning in OTHER_VARIABLES.items()]
    return "\n".join(["| variable | meaning |", "|---|---|", *rows, ""])


def _default(setting: Setting) -> str:
    return "required" if setting.is_required else f"`{shown(setting.default)}`"


def _code(name: str | None) -> str:
    return f"`{name}`" if name else "none"


def main(arguments: list[str]) -> int:
    """Write the page, or with ``--check`` return 1 if it is out of date."""
    before = PAGE.read_text("utf-8")
    after = page(before)
    if "--check" in arguments:
        print(f"{PAGE} is {'up to date' if before == after else 'out of date'}")
        return int(before != after)
    PAGE.write_text(after, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
