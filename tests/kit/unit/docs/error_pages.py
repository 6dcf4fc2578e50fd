"""Writes what ``pgsandbox explain`` prints of an error from the error's page on the site.

::

    python -m tests.kit.unit.docs.error_pages            write the files anew
    python -m tests.kit.unit.docs.error_pages --check    say whether they are up to date

The wheel has the files and not the site. What a page includes stands in them, and a link is
followed by the command or the address that leads to the same place.
"""

from __future__ import annotations

import posixpath
import re
import sys
import textwrap
from pathlib import Path

from pgsandbox import errors
from pgsandbox.cli.explain import PAGES
from pgsandbox.errors import PgSandboxError
from tests.kit.unit.docs.pages import DOCS, ROOT, blocks, published

SOURCE = DOCS / "reference" / "errors"

_WIDTH = 80
_FENCED = re.compile(r"^ *(`{3,}).*?^ *\1$\n?", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_NAMES = {
    each.page: each.__name__
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, PgSandboxError)
}


def rendered(page: Path) -> str:
    """Return the page as a terminal shows it."""
    text = page.read_text("utf-8")
    code = iter([_block(block.include) for block in blocks(text)])
    parts = re.split(r"\n\s*\n", _FENCED.sub(lambda _: "\n\n\0\n\n", text))
    shown = [next(code) if each.strip() == "\0" else _prose(each) for each in parts if each.strip()]
    return "\n\n".join(shown) + "\n"


def pages() -> dict[Path, str]:
    """Return what each file of the wheel has to say."""
    found = [SOURCE / f"{name}.md" for name in sorted(_NAMES)]
    return {PAGES / f"{page.stem}.txt": rendered(page) for page in found}


def _block(include: tuple[str, str] | None) -> str:
    assert include is not None  # nothing is typed into a fence
    file, section = include
    text = published(ROOT / file)[section] if section else (ROOT / file).read_text("utf-8")
    return textwrap.indent(textwrap.dedent(text).strip("\n"), "    ")


def _prose(paragraph: str) -> str:
    text = _LINK.sub(_followed, paragraph.strip())
    if text.startswith("#"):
        return text.lstrip("# ")
    if re.match(r"[-*|] ?|\d+\. |!!!|\?\?\?", text):
        return text
    sentences = [
        textwrap.fill(each, _WIDTH, break_long_words=False, break_on_hyphens=False)
        for each in text.splitlines()
    ]
    return "\n".join(sentences)


def _followed(match: re.Match[str]) -> str:
    """Return the text of a link with the way to the same place in a terminal."""
    text, target = match[1], match[2]
    plain = text.strip("`")
    file, _, anchor = target.partition("#")
    if file == "../settings.md" and anchor:
        return f"`{anchor}`" if plain == anchor else f"{text} (pgsandbox explain {anchor})"
    name = _NAMES.get(Path(file).stem) if "/" not in file else None
    if name is not None:
        return text if plain == name else f"{text} (pgsandbox explain {name})"
    if target == "index.md":
        return f"{text} (pgsandbox explain)"
    if "://" in target:
        return f"{text} ({target})"
    place = posixpath.normpath(posixpath.join("reference/errors", file)).removesuffix(".md")
    place = place.removesuffix("/index")
    return f"{text} ({place}/{'#' if anchor else ''}{anchor})"


def main(arguments: list[str]) -> int:
    """Write the files, or with ``--check`` return 1 if one is out of date, or nobody's."""
    wanted = pages()
    code = 0
    for file in sorted({*wanted, *PAGES.glob("*.txt")}):
        before = file.read_text("utf-8") if file.exists() else None
        after = wanted.get(file)
        if before == after:
            continue
        code = 1
        if "--check" in arguments:
            print(f"{file} is out of date")
        elif after is None:
            file.unlink()
        else:
            file.parent.mkdir(exist_ok=True)
            file.write_text(after, "utf-8")
    return code if "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
