"""Writes the site for coding agents: a list of the pages, and most of them on one page.

::

    python -m tests.kit.unit.docs.for_agents site    write site/llms.txt and site/llms-full.txt

The form of llms.txt is that of https://llmstxt.org. `nox -s docs` calls this after each build.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from tests.kit.unit.docs.pages import DOCS, ROOT, published

ON_ONE_PAGE = ("Tutorial", "Guide", "How-to", "Reference")
"""The parts of the site that llms-full.txt has; the others explain, and are linked."""

ERRORS = "reference/errors/index.md"
"""The list of the errors, whose pages are not in the navigation."""

_INCLUDE = re.compile(
    r'^(?P<indent> *)--8<-- "(?P<file>[^":]+)(?::(?P<section>[\w-]+))?"$', re.MULTILINE
)
_SVG = re.compile(r"<figure>.*?<title[^>]*>(.*?)</title>.*?</figure>", re.DOTALL)
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n+", re.DOTALL)
_ATTRIBUTES = re.compile(r" \{ #[\w-]+ \}$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One page of the navigation."""

    part: str
    """The part of the site that it is in."""
    title: str
    """Its name in the navigation."""
    path: str
    """Its file below docs."""

    @property
    def address(self) -> str:
        """Where the built site has it, relative to its root."""
        return (self.path.removesuffix(".md").removesuffix("index").rstrip("/") or ".") + "/"

    @property
    def text(self) -> str:
        """Its Markdown with every example in full."""
        return resolved(_FRONT_MATTER.sub("", (DOCS / self.path).read_text("utf-8")))

    @property
    def summary(self) -> str:
        """The first sentence of its first paragraph."""
        paragraphs = self.text.split("\n\n")
        first = next((each for each in paragraphs[1:] if re.match(r"[\w`\[]", each)), "")
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", first.splitlines()[0] if first else "")
        return plain.rstrip(":")


@cache
def pages() -> tuple[Page, ...]:
    """The pages in the order of the navigation, and after the list of errors each error's own."""
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    navigation = yaml.safe_load(text[text.index("\nnav:") :])["nav"]
    listed = [page for entry in navigation for page in _below(entry, "")]
    return tuple(each for page in listed for each in (page, *_errors(page)))


def _errors(page: Page) -> Iterator[Page]:
    if page.path == ERRORS:
        for file in sorted((DOCS / ERRORS).parent.glob("*.md")):
            if file.name != "index.md":
                yield from _below(file.relative_to(DOCS).as_posix(), page.part)


def _below(entry: dict[str, object] | str, part: str) -> Iterator[Page]:
    if isinstance(entry, str):
        heading = (DOCS / entry).read_text("utf-8").splitlines()[0]
        yield Page(part, heading.removeprefix("# "), entry)
        return
    ((title, inner),) = entry.items()
    if isinstance(inner, str):
        yield Page(part or title, title, inner)
    elif isinstance(inner, list):
        for each in inner:
            yield from _below(each, part or title)


def resolved(text: str) -> str:
    """*text* with what it includes in place of each include, and words in place of diagrams."""

    def included(match: re.Match[str]) -> str:
        file = ROOT / match["file"]
        section = match["section"]
        inner = published(file)[section] if section else file.read_text("utf-8").rstrip()
        return "\n".join(f"{match['indent']}{line}".rstrip() for line in inner.splitlines())

    return _ATTRIBUTES.sub("", _SVG.sub(r"(\1)", _INCLUDE.sub(included, text)))


@cache
def listing() -> str:
    """The text of llms.txt."""
    lines = [
        "# pgsandbox",
        "",
        "> A pytest plugin for integration tests of a SQLAlchemy application against a",
        "> real PostgreSQL: every test in its own transaction, and no mocks.",
        "",
        "[Tutorials, guide, how-to and reference on one page](llms-full.txt), with every example.",
    ]
    part = ""
    for page in pages():
        if page.part != part:
            part = page.part
            lines += ["", f"## {part}", ""]
        lines.append(f"- [{page.title}]({page.address}): {page.summary}")
    return "\n".join([*lines, ""])


def one_page() -> str:
    """The text of llms-full.txt."""
    chosen = [page for page in pages() if page.part in ON_ONE_PAGE]
    introduction = "# pgsandbox\n\nLinks are relative to the page that is named above each part.\n"
    parts = [f"<!-- {page.address} -->\n\n{page.text.strip()}\n" for page in chosen]
    return "\n".join([introduction, *parts])


def main(arguments: list[str]) -> int:
    """Write both files into the directory that *arguments* name."""
    (target,) = arguments
    Path(target, "llms.txt").write_text(listing(), "utf-8")
    Path(target, "llms-full.txt").write_text(one_page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
