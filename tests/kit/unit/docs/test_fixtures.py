"""The reference of fixtures and API says what the code says, of everything that is there."""

import ast
import re

import pytest

from tests.kit.unit.docs.from_docstrings import FIXTURES as VALUES
from tests.kit.unit.docs.from_docstrings import KIT, PAGES, definition, main, page, prose, public
from tests.kit.unit.docs.pages import DOCS

PAGE = (DOCS / "reference" / "fixtures.md").read_text("utf-8")
GUIDE = "".join(page.read_text("utf-8") for page in (DOCS / "testing").glob("*.md"))
HEADINGS = re.findall(r"^#+ `([\w.]+)[`(]", PAGE, re.MULTILINE)


def is_fixture(file, name):
    """Whether pytest knows it."""
    return any("fixture" in ast.unparse(each) for each in definition(file, name).decorator_list)


FIXTURES = [
    (file.relative_to(KIT).as_posix(), name)
    for file in sorted((KIT / "plugin").glob("*.py"))
    for name in public(file.relative_to(KIT).as_posix())
    if is_fixture(file.relative_to(KIT).as_posix(), name)
]
ATTRIBUTES = [
    (file, name, name.replace(kind, VALUES[kind]))
    for file, kind in [
        ("plugin/pg.py", "Pg"),
        ("plugin/serving.py", "LiveServer"),
        ("plugin/clock.py", "Clock"),
    ]
    for name in public(file, kind)
    if not name.endswith((".close", ".stop"))
]
DESCRIBED = [*((file, name, name) for file, name in FIXTURES), *ATTRIBUTES]


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_the_page_is_generated(file):
    """Run ``python -m tests.kit.unit.docs.from_docstrings`` where this fails."""
    text = file.read_text("utf-8")

    assert page(text) == text


@pytest.mark.parametrize(("file", "name", "shown"), DESCRIBED, ids=[each[2] for each in DESCRIBED])
def test_a_fixture_is_described_by_its_docstring(file, name, shown):
    """Under a heading of the same name."""
    assert shown in HEADINGS
    assert f"<!-- from {file} {name} -->" in PAGE


def test_a_heading_has_its_fixture():
    """What was renamed or removed is not described any longer."""
    assert set(HEADINGS) == {shown for _, _, shown in DESCRIBED}


@pytest.mark.parametrize("shown", [each[2] for each in DESCRIBED])
def test_the_guide_names_the_fixture(shown):
    """A reader of the guide learns that it is there."""
    assert f"`{shown}" in GUIDE


def test_a_change_is_found(monkeypatch, tmp_path, capsys):
    """``--check`` fails on a page that somebody edited by hand."""
    edited = tmp_path / "fixtures.md"
    edited.write_text(PAGE.replace("Scope: session.", "Scope: function.", 1))
    monkeypatch.setattr("tests.kit.unit.docs.from_docstrings.PAGES", (edited,))

    assert main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().out
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_a_name_that_is_gone_is_found():
    """A mark that leads nowhere stops the generator."""
    with pytest.raises(LookupError, match=r"plugin/pg\.py has no Pg\.gone"):
        page("<!-- from plugin/pg.py Pg.gone -->\n<!-- end -->")


def test_a_docstring_becomes_markdown():
    """One line a paragraph, Markdown's backticks, and what is raised as a sentence."""
    text = (
        "Give ``x``\n    back.\n\n    Raises:\n        ValueError: it is\n            not there.\n"
    )

    assert prose(text) == "Give `x` back.\n\nRaises `ValueError`: it is not there.\n"
