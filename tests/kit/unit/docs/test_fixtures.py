"""The reference of the fixtures names all there are, and nothing that is not there."""

import ast
import re

import pytest

from tests.kit.unit.docs.pages import DOCS, ROOT

PAGE = (DOCS / "reference" / "fixtures.md").read_text("utf-8")
PLUGIN = ROOT / "src" / "pgsandbox" / "plugin"


def functions(file, kind=ast.Module, name=None):
    """The public functions of a module of the plugin, or of a class in it."""
    tree = ast.parse((PLUGIN / file).read_text("utf-8"))
    (scope,) = [
        node
        for node in [tree, *tree.body]
        if isinstance(node, kind) and getattr(node, "name", None) == name
    ]
    names = [node.name for node in scope.body if isinstance(node, ast.FunctionDef)]
    return [name for name in names if not name.startswith("_")]


FIXTURES = [*functions("fixtures.py"), *functions("async_fixtures.py")]
ATTRIBUTES = [f"pg.{name}" for name in functions("pg.py", ast.ClassDef, "Pg") if name != "close"]
HEADINGS = re.findall(r"^#+ `([\w.]+)[`(]", PAGE, re.MULTILINE)


@pytest.mark.parametrize("name", [*FIXTURES, *ATTRIBUTES])
def test_a_fixture_has_its_heading(name):
    """With the same name."""
    assert name in HEADINGS


def test_a_heading_has_its_fixture():
    """What was renamed or removed is not described any longer."""
    assert set(HEADINGS) == {*FIXTURES, *ATTRIBUTES}


@pytest.mark.parametrize("name", [*FIXTURES, *ATTRIBUTES])
def test_the_guide_names_the_fixture(name):
    """A reader of the guide learns that it is there."""
    guide = "".join(page.read_text("utf-8") for page in (DOCS / "testing").glob("*.md"))

    assert f"`{name}" in guide
