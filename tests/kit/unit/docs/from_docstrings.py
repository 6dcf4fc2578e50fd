"""Writes what the reference says of a fixture, a class or a method from the code itself.

::

    python -m tests.kit.unit.docs.from_docstrings            write the pages anew
    python -m tests.kit.unit.docs.from_docstrings --check    say whether they are up to date

In a page of PAGES, what stands between ``<!-- from plugin/pg.py Pg.outside -->`` and
``<!-- end -->`` is the signature and the docstring of that name; after ``<!-- tree errors.py -->``
stands the list of the classes in that file. The code is read, not imported.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
KIT = ROOT / "src" / "pgsandbox"
PAGES = (
    ROOT / "docs" / "reference" / "fixtures.md",
    ROOT / "docs" / "reference" / "api.md",
    ROOT / "docs" / "reference" / "errors" / "index.md",
)

FIXTURES = {"Pg": "pg", "LiveServer": "live_server", "Clock": "db_clock"}
"""For a class the fixture whose value is an object of it."""

_MARKED = re.compile(r"(<!-- from (\S+) (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_TREE = re.compile(r"(<!-- tree (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_RAISES = re.compile(r"^Raises:\n((?: .*\n?)+)", re.MULTILINE)
_LITERAL = re.compile(r"::\n\n(?: {4}.*\n|\n)+")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def page(text: str) -> str:
    """*text* with what stands between its marks made from the code."""
    text = _TREE.sub(lambda match: f"{match[1]}\n{_tree(match[2])}\n{match[3]}", text)
    return _MARKED.sub(lambda match: f"{match[1]}\n{_entry(match[2], match[3])}\n{match[4]}", text)


def definition(file: str, name: str) -> Definition:
    """The class or function *name*, dots for what is inside of a class, in *file* of the kit."""
    found: ast.Module | Definition = ast.parse((KIT / file).read_text("utf-8"))
    for part in name.split("."):
        named = [node for node in ast.walk(found) if getattr(node, "name", None) == part]
        if not named or not isinstance(named[0], Definition):
            raise LookupError(f"{file} has no {name}")
        found = named[0]
    assert isinstance(found, Definition)
    return found


def public(file: str, name: str = "") -> list[str]:
    """The public functions of a module of the kit, or of the class *name* in it."""
    tree = definition(file, name) if name else ast.parse((KIT / file).read_text("utf-8"))
    functions = [node for node in tree.body if isinstance(node, Definition)]
    return [
        f"{name}.{node.name}" if name else node.name
        for node in functions
        if not isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]


def _tree(file: str) -> str:
    """The classes of *file* that have a page, each below its base, with its first sentence."""
    tree = ast.parse((KIT / file).read_text("utf-8"))
    depths: dict[str, int] = {}
    lines = []
    for node in tree.body:
        slug = isinstance(node, ast.ClassDef) and re.search(r"page\b.*= '(.*)'", ast.unparse(node))
        if isinstance(node, ast.ClassDef) and slug:
            depths[node.name] = 1 + max(depths.get(ast.unparse(base), -1) for base in node.bases)
            meaning = prose(ast.get_docstring(node) or "").splitlines()[0]
            indent = "    " * depths[node.name]
            lines.append(f"{indent}- [`{node.name}`]({slug[1]}.md): {meaning}")
    return "\n".join([*lines, ""])


def _entry(file: str, name: str) -> str:
    node = definition(file, name)
    lines = [f"`{_signature(node, name)}`", ""]
    scope = _scope(node)
    if scope:
        lines += [f"Scope: {scope}.", ""]
    text = prose(ast.get_docstring(node) or "")
    return "\n".join([*lines, text, *_fields(node)]).rstrip() + "\n"


def prose(docstring: str) -> str:
    """*docstring* as Markdown: one paragraph a line, code in single backticks, no code block."""
    text = _LITERAL.sub("\n\n", inspect.cleandoc(docstring) + "\n")
    text = _RAISES.sub(_raised, text).replace("``", "`")
    paragraphs = [" ".join(each.split()) for each in re.split(r"\n\s*\n", text) if each.strip()]
    return "\n\n".join(paragraphs) + "\n"


def _raised(match: re.Match[str]) -> str:
    entries = re.findall(r"^ {4}([\w.]+): (.*(?:\n {8}.*)*)", match[1], re.MULTILINE)
    return "\n\n".join(f"Raises `{name}`: {' '.join(why.split())}" for name, why in entries)


def _signature(node: Definition, name: str) -> str:
    if isinstance(node, ast.ClassDef):
        return f"class {name}"
    returned = _value(node)
    arrow = f" -> {returned}" if returned else ""
    owner, dot, rest = name.partition(".")
    short = FIXTURES.get(owner, owner) + dot + rest
    if _is(node, "property") or _is(node, "fixture"):
        return f"{short}: {returned}"
    arguments = ast.unparse(node.args)
    arguments = re.sub(r"^(?:self|cls)(?:, )?", "", arguments).replace("'", '"')
    return f"{short}({arguments}){arrow}"


def _value(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """What it gives: what an iterator yields, for fixtures and context managers."""
    text = ast.unparse(node.returns) if node.returns else ""
    if _is(node, "fixture") or _is(node, "contextmanager"):
        text = re.sub(r"^(?:Async)?(?:Iterator|Generator)\[(.*)\]$", r"\1", text)
    return text


def _is(node: Definition, decorator: str) -> bool:
    return any(decorator in ast.unparse(each) for each in node.decorator_list)


def _scope(node: Definition) -> str | None:
    if not _is(node, "fixture"):
        return None
    decorators = " ".join(ast.unparse(each) for each in node.decorator_list)
    scope = re.search(r"scope='(\w+)'", decorators)
    return scope[1] if scope else "function"


def _fields(node: Definition) -> list[str]:
    """The documented fields of a class, as a definition list."""
    if not isinstance(node, ast.ClassDef):
        return []
    lines = []
    for field, text in zip(node.body, node.body[1:], strict=False):
        if not isinstance(field, ast.AnnAssign) or not isinstance(text, ast.Expr):
            continue
        if isinstance(text.value, ast.Constant):
            name, kind = ast.unparse(field.target), ast.unparse(field.annotation)
            words = " ".join(prose(str(text.value.value)).split())
            lines += ["", f"`{name}: {kind}`".replace("'", '"'), f":   {words}"]
    return lines


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` return 1 if one is out of date."""
    code = 0
    for file in PAGES:
        before = file.read_text("utf-8")
        after = page(before)
        if "--check" in arguments:
            print(f"{file} is {'up to date' if before == after else 'out of date'}")
            code |= int(before != after)
        else:
            file.write_text(after, "utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
