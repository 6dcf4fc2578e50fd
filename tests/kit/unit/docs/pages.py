"""Reads the site's pages and the files that their blocks come from; knows no database."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[4]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
SOURCES = ("tests/integration/", "tests/examples/", "tests/kit/unit/lint/golden/")
RECORDED = "tests/examples/recorded/"

_FENCE = re.compile(r"^(?P<indent> *)(?P<marks>`{3,}|~{3,})(?P<info>.*)$")
_TITLE = re.compile(r'title="([^"]*)"')
_INCLUDE = re.compile(r'--8<-- "([^":]+)(?::([\w-]+))?"')
_MARKER = re.compile(r"^ *# --8<-- \[(start|end):([\w-]+)\]$")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: str
    """The page's path."""
    line: int
    """The number of the fence's line."""
    language: str
    """The word behind the fence, or nothing."""
    title: str
    """The caption, or nothing."""
    lines: tuple[str, ...]
    """What stands between the fences."""

    @property
    def include(self) -> tuple[str, str] | None:
        """The file and section that are all of the block; None if anything else is in it."""
        match = _INCLUDE.fullmatch(self.lines[0].strip()) if len(self.lines) == 1 else None
        return (match[1], match[2] or "") if match else None


def blocks(text: str, page: str = "") -> Iterator[Block]:
    """The fenced blocks of *text*, also those inside of admonitions and tabs."""
    lines = enumerate(text.splitlines(), start=1)
    for number, line in lines:
        fence = _FENCE.match(line)
        if fence is None:
            continue
        body = []
        for _, inner in lines:
            if inner.strip() == fence["marks"]:
                break
            body.append(inner)
        info = fence["info"].strip()
        language = re.match(r"\{? *\.?([\w+-]*)", info)
        title = _TITLE.search(info)
        yield Block(
            page, number, language[1] if language else "", title[1] if title else "", tuple(body)
        )


def published(file: Path) -> dict[str, str]:
    """The text of each named section of *file*, without the marks of other sections."""
    found: dict[str, list[str]] = {}
    is_open: list[str] = []
    for line in file.read_text("utf-8").splitlines():
        mark = _MARKER.match(line)
        if mark is None:
            for name in is_open:
                found[name].append(line)
        elif mark[1] == "start":
            found[mark[2]] = []
            is_open.append(mark[2])
        else:
            is_open.remove(mark[2])
    return {name: "\n".join(lines).strip() for name, lines in found.items()}


def problem_of(block: Block) -> str | None:
    """Why *block* may not stand on the site, or None if it may."""
    check = _CHECKS.get(block.language)
    if check is None:
        return f"a block of {block.language or 'no language'} is checked by nothing"
    return check(block)


def tests_in(text: str) -> list[str]:
    """The names of the tests that *text* defines."""
    tree = ast.parse(text)
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    ]


def _console(block: Block) -> str | None:
    typed = [line for line in block.lines if not line.strip().startswith("$ ")]
    return f"output is typed in: {typed[0].strip()}" if typed else None


def _recorded(block: Block) -> str | None:
    if block.include is None:
        return "its text is typed in"
    file, section = block.include
    if not file.startswith(RECORDED) or section or not (ROOT / file).is_file():
        return f"{file} is no recorded output"
    return None


def _file(block: Block) -> str | None:
    if block.include is None:
        return "its text is typed in"
    file, section = block.include
    if not file.startswith(SOURCES) or not (ROOT / file).is_file():
        return f"{file} is no file of an example or of an integration test"
    if section not in published(ROOT / file) if section else "--8<--" in (ROOT / file).read_text():
        return f"{file} has no section {section}" if section else f"{file} is in sections"
    if block.title != file:
        return f"its title is not {file}"
    return None


def _python(block: Block) -> str | None:
    if block.include is None:
        return "its text is typed in"
    file, section = block.include
    if not file.startswith(SOURCES) or not (ROOT / file).is_file():
        return f"{file} is no file of an example or of an integration test"
    if section not in published(ROOT / file):
        return f"{file} has no section {section or 'without a name'}"
    tests = tests_in(published(ROOT / file)[section])
    wanted = [f"{file}::{test}" for test in tests] or [file]
    return None if block.title in wanted else f"its title is none of {wanted}"


_CHECKS = {
    "console": _console,
    "python": _python,
    "text": _recorded,
    "toml": _file,
    "yaml": _file,
}
