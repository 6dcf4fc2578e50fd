"""Every page can be found, by people and by programs, and says which version it describes."""

import re

import pytest

import pgsandbox
from tests.kit.unit.docs.for_agents import ON_ONE_PAGE, listing, main, one_page, pages
from tests.kit.unit.docs.pages import DOCS, PAGES, ROOT


def test_every_page_is_in_the_navigation():
    """Once."""
    listed = [page.path for page in pages()]

    assert sorted(listed) == [page.relative_to(DOCS).as_posix() for page in PAGES]


def test_the_parts_of_the_site_are_there():
    """What is learned, followed, done, looked up and understood."""
    parts = {page.part for page in pages()}

    assert parts >= {"Tutorial", "Guide", "How-to", "Reference", "Explanation", "About"}


def test_the_guide_has_its_front_page():
    """People link to it."""
    first = next(page for page in pages() if page.part == "Guide")

    assert first.path == "testing/integration-testing-guide.md"


@pytest.mark.parametrize(
    "page", [page for page in pages() if page.part == "Guide"][1:], ids=lambda page: page.title
)
def test_the_front_page_leads_to_the_chapter(page):
    """Its table has all of them."""
    guide = DOCS / "testing" / "integration-testing-guide.md"

    assert f"]({page.path.removeprefix('testing/')})" in guide.read_text("utf-8")


def test_the_site_names_the_version():
    """At the foot of each page."""
    assert f"copyright: pgsandbox {pgsandbox.__version__} " in (ROOT / "mkdocs.yml").read_text()


def test_an_agent_is_told_what_each_page_answers():
    """The first sentence stands beside the page's address."""
    said = listing()

    assert len(pages()) > 80
    assert [page.path for page in pages() if len(page.summary) <= 20] == []
    assert [page.path for page in pages() if f"]({page.address}): {page.summary}" not in said] == []


def test_the_one_page_has_every_example():
    """No include is left, and the text of an example is there."""
    text = one_page()

    assert "--8<--" not in text
    assert "def test_a_product_is_stored(db_session):" in text
    assert re.findall("^<!-- (.*) -->$", text, re.MULTILINE)[:1] == ["tutorial/empty-folder/"]
    assert {page.part for page in pages() if f"<!-- {page.address} -->" in text} == {*ON_ONE_PAGE}


def test_both_files_are_written(tmp_path):
    """Into the site that was built."""
    assert main([str(tmp_path)]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["llms-full.txt", "llms.txt"]
