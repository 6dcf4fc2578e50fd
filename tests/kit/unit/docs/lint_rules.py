"""Writes the rules on docs/reference/lint.md from their declarations and examples.

::

    python -m tests.kit.unit.docs.lint_rules            write the page's rules anew
    python -m tests.kit.unit.docs.lint_rules --check    say whether they are up to date
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pgsandbox.lint import RULES, Rule
from tests.kit.unit.docs.pages import published, tests_in

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs" / "reference" / "lint.md"
GOLDEN = "tests/kit/unit/lint/golden"

_MADE = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SENTENCE = re.compile(r"(?<=[.:]) (?=[A-Z`])")


def page(text: str) -> str:
    """*text* with what stands between its marks made from the declarations."""
    made = {"rules": _table, "details": _details}
    return _MADE.sub(lambda match: f"{match[1]}\n{made[match[2]]()}\n{match[3]}", text)


def _table() -> str:
    rows = [f"| [`{rule.code}`](#{rule.code.lower()}) | {rule.title} |" for rule in RULES]
    return "\n".join(["| code | rule |", "|---|---|", *rows, ""])


def _details() -> str:
    return "\n".join(_detail(rule) for rule in RULES)


def _detail(rule: Rule) -> str:
    lines = [f"### {rule.code} {{ #{rule.code.lower()} }}", "", f"**{rule.title}**", ""]
    lines += [*_SENTENCE.split(rule.why), "", rule.instead, ""]
    if rule.bad:
        lines += ["Not so:", "", *_block(rule, "bad"), "", "But:", "", *_block(rule, "good"), ""]
    return "\n".join(lines)


def _block(rule: Rule, name: str) -> list[str]:
    file = f"{GOLDEN}/{rule.code}/{name}.py"
    tests = tests_in(published(ROOT / file)[name])
    title = f"{file}::{tests[0]}" if tests else file
    return [f'```python title="{title}"', f'--8<-- "{file}:{name}"', "```"]


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
