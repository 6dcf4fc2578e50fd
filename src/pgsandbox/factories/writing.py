"""Plans become a module, formatted as Ruff formats it at 100 columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterator, Sequence

from pgsandbox.factories.imports import WIDTH, Import, lines_of
from pgsandbox.factories.plans import Declaration, Plan

MARK = "Your turn:"
"""What a comment begins with where the reader has to decide."""

_FIRST = '"""A factory for each mapped class; what a test does not care about has a sensible value.'

_HEAD = f'''{_FIRST}

`pgsandbox factories generate` wrote this module, and it is yours now. `pgsandbox factories check`
compares it with the models.
"""
'''
_MARKS = f'''{_FIRST}

`pgsandbox factories generate` wrote this module, and it is yours now. Where a comment begins with
"{MARK}", it could not know a value. `pgsandbox factories check` compares it with the models.
"""
'''


def module_of(plans: Sequence[Plan], first_party: Collection[str]) -> str:
    """Return the module with the factories of *plans*, which stand in the order given.

    *first_party* names the packages whose imports come last.
    """
    imports = {Import("pgsandbox.factories", "Factory")}
    classes = []
    for plan in plans:
        lines = list(_class(plan))
        classes.append("\n".join(lines))
        imports.add(plan.source)
        for declaration in [*plan.params, *plan.declarations]:
            imports.update(declaration.imports)
    if any("factory." in text for text in classes):
        imports.add(Import("factory"))
    head = _MARKS if any(plan.marks for plan in plans) else _HEAD
    return "\n".join(
        [
            head,
            "\n".join(lines_of(imports, first_party)),
            *(f"\n\n{text}" for text in classes),
            "",
        ]
    )


def _class(plan: Plan) -> Iterator[str]:
    base = plan.base.name if plan.base else "Factory"
    yield f"class {plan.name}({base}):"
    for note in plan.notes:
        yield from _comment(note)
    yield "    class Meta:"
    yield f"        model = {plan.source.name}"
    if plan.model.is_abstract:
        yield "        abstract = True"
    if plan.keys:
        names = ", ".join(f'"{each}"' for each in plan.keys)
        comma = "," if len(plan.keys) == 1 else ""
        yield f"        sqlalchemy_get_or_create = ({names}{comma})"
    rename = dict(plan.base.rename) if plan.base and plan.rename else {}
    rename |= plan.rename
    if plan.rename:
        yield from _assigned("rename", _dictionary(rename), 8)
    if plan.params:
        yield ""
        yield "    class Params:"
        for declaration in plan.params:
            yield from _declared(declaration, 8)
    if plan.declarations:
        yield ""
        for declaration in plan.declarations:
            yield from _declared(declaration, 4)


def _dictionary(names: dict[str, str]) -> str:
    return "{" + ", ".join(f'"{name}": "{attribute}"' for name, attribute in names.items()) + "}"


def _declared(declaration: Declaration, indent: int) -> Iterator[str]:
    for note in declaration.notes:
        yield from _comment(note, indent)
    yield from _assigned(declaration.name, declaration.code, indent)


def _comment(note: str, indent: int = 4) -> Iterator[str]:
    start = " " * indent + "# "
    yield from textwrap.wrap(
        f"{MARK} {note}",
        WIDTH,
        initial_indent=start,
        subsequent_indent=start,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _assigned(name: str, code: str, indent: int) -> Iterator[str]:
    space = " " * indent
    line = f"{space}{name} = {code}"
    if len(line) <= WIDTH:
        yield line
        return
    opened = re.match(r"[\w.]*[({\[]", code)
    if opened is None:
        yield line
        return
    before, inner, after = code[: opened.end()], code[opened.end() : -1], code[-1]
    yield f"{space}{name} = {before}"
    arguments = _split(inner)
    if len(arguments) == 1 or (after == ")" and indent + 4 + len(inner) <= WIDTH):
        yield from _fitted(inner, indent + 4)
    else:
        for argument in arguments:
            yield f"{space}    {argument},"
    yield f"{space}{after}"


def _fitted(inner: str, indent: int) -> Iterator[str]:
    """Yield what stands between the parentheses, a lambda's body broken where it has to be."""
    space = " " * indent
    if indent + len(inner) <= WIDTH or not inner.startswith("lambda n: "):
        yield space + inner
        return
    body = inner.removeprefix("lambda n: ")
    opened = re.match(r"[\w.]*[({\[]", body)
    if opened is None:
        yield space + inner
        return
    yield f"{space}lambda n: {body[: opened.end()]}"
    for argument in _split(body[opened.end() : body.rindex(_CLOSING[opened[0][-1]])]):
        yield f"{space}    {argument},"
    yield space + body[body.rindex(_CLOSING[opened[0][-1]]) :]


_CLOSING = {"(": ")", "[": "]", "{": "}"}


def _split(inner: str) -> list[str]:
    """Return the arguments between parentheses, which strings and brackets may hide commas in."""
    found, start, depth, quote = [], 0, 0, ""
    for place, sign in enumerate(inner):
        if quote:
            quote = "" if sign == quote and inner[place - 1] != "\\" else quote
        elif sign in "\"'":
            quote = sign
        elif sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
        elif sign == "," and depth == 0 and not inner[:place].startswith("lambda"):
            found.append(inner[start:place].strip())
            start = place + 1
    found.append(inner[start:].strip())
    return [each for each in found if each]
