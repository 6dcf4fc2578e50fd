"""The docstring of each package is a map of it: every module, each above those that import it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pgsandbox

KIT = Path(pgsandbox.__file__).parent
ENDPOINT = "sandbox/endpoint"
PACKAGES = sorted(
    file.parent.relative_to(KIT).as_posix()
    for file in KIT.rglob("__init__.py")
    if file.parent != KIT and "endpoint" not in file.parts
)


def map_of(package: str) -> str:
    """The docstring of *package*."""
    return ast.get_docstring(ast.parse((KIT / package / "__init__.py").read_text())) or ""


def listed(package: str) -> list[str]:
    """The modules in the order in which the docstring of *package* names them."""
    rows = re.findall(r"^\* ((?:``\w+``(?:, )?)+):", map_of(package), re.MULTILINE)
    return [name for row in rows for name in re.findall(r"``(\w+)``", row)]


def listed_from_the_top() -> list[str]:
    """The modules of the endpoint in the order in which sentences name them."""
    text, _, _ = map_of(ENDPOINT).partition("Where a new line belongs")
    return re.findall(r"(?<!`)`(\w+)`(?!`)", text)


def modules(package: str) -> set[str]:
    """The modules and packages in *package* that have code."""
    return {
        path.stem
        for path in (KIT / package).iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    } - {"__init__"}


def imported(package: str, module: str) -> set[str]:
    """The modules of *package* that *module* imports when it is imported itself."""
    path = KIT / package / f"{module}.py"
    tree = ast.parse(path.read_text() if path.is_file() else "")
    full = f"pgsandbox.{package.replace('/', '.')}"
    names = [
        name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module
        for name in (node.module, *(f"{node.module}.{each.name}" for each in node.names))
    ]
    return {name for name in modules(package) for each in names if each == f"{full}.{name}"}


def test_each_map_names_every_module() -> None:
    """Each once, and none that is not there; the endpoint's is another one, below."""
    maps = {package: sorted(listed(package)) for package in PACKAGES}

    assert maps == {package: sorted(modules(package) - {"endpoint"}) for package in PACKAGES}


def test_each_map_is_in_the_order_of_the_imports() -> None:
    """Who reads from the top meets nothing that was not there before."""
    later = [
        f"{package}: {module} imports {name}"
        for package in PACKAGES
        for place, module in enumerate(listed(package))
        for name in imported(package, module) & {*listed(package)[place:]}
    ]

    assert later == []


def test_the_endpoints_map_names_every_module() -> None:
    """Each once."""
    assert sorted(listed_from_the_top()) == sorted(modules(ENDPOINT))


def test_the_endpoint_imports_from_the_top_to_the_bottom() -> None:
    """Its map begins with the process: each module imports only what stands below it."""
    order = listed_from_the_top()
    above = [
        f"{module} imports {name}"
        for place, module in enumerate(order)
        for name in imported(ENDPOINT, module) & {*order[:place]}
    ]

    assert above == []
