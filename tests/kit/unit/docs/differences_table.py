"""Writes the tables of docs/reference/schema-diff.md from the differences that tests make.

::

    python -m tests.kit.unit.docs.differences_table            write the page's tables anew
    python -m tests.kit.unit.docs.differences_table --check    say whether they are up to date
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.kit.integration.schema.differences import Seeded, seeded

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "schema-diff.md"

_TABLES = re.compile(r"(<!-- findings -->\n).*?(<!-- end -->)", re.DOTALL)
_LONGEST = 100


def page(text: str) -> str:
    """*text* with what stands between its marks made from the differences."""
    return _TABLES.sub(lambda match: f"{match[1]}\n{_tables()}\n{match[2]}", text)


def _tables() -> str:
    sections = dict.fromkeys(each.section for each in seeded())
    kinds = {each.code for each in seeded()} | {each.back for each in seeded()}
    number = f"{len(seeded())} differences of {len(kinds)} kinds"
    lines = [f"{number} are made one at a time, and each is found alone, on either side.", ""]
    for section in sections:
        lines += [f"### {section}", "", "| finding | made by | object |", "|---|---|---|"]
        lines += [_row(each) for each in seeded() if each.section == section]
        lines.append("")
    return "\n".join(lines)


def _row(difference: Seeded) -> str:
    change = " ".join(difference.change.split())
    if len(change) > _LONGEST:
        change = f"{change[:_LONGEST].rstrip()} ..."
    cells = (difference.code, change, difference.object)
    return "| " + " | ".join(f"`{cell}`".replace("|", "\\|") for cell in cells) + " |"


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
