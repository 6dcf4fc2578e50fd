"""What ``pgsandbox explain`` prints of an error is what the site says of it."""

import pytest

from tests.kit.unit.docs import error_pages
from tests.kit.unit.docs.error_pages import PAGES, SOURCE, main, pages, rendered


@pytest.mark.parametrize("file", pages(), ids=lambda file: file.stem)
def test_the_page_in_the_wheel_is_the_one_of_the_site(file):
    """Run ``python -m tests.kit.unit.docs.error_pages`` where this fails."""
    assert file.read_text("utf-8") == pages()[file]


def test_nothing_is_left_of_an_error_that_is_gone():
    """Every file belongs to a page."""
    assert set(PAGES.glob("*")) == set(pages())


def test_includes_and_links_are_followed():
    """The terminal shows what the page includes, and says where its links lead."""
    text = rendered(SOURCE / "foreign-database.md")

    assert "def test_the_application_uses_its_own_url(db_session):" in text
    assert "\n    ForeignDatabase: A test tried to open" in text
    assert "time (how-to/configure/#an-engine-made-at-import-time)" in text
    assert "](" not in text
    assert "--8<--" not in text


def test_a_change_is_found(monkeypatch, tmp_path, capsys):
    """``--check`` fails on a file that somebody edited, and on one that nobody needs."""
    monkeypatch.setattr(error_pages, "PAGES", tmp_path / "pages")

    assert main(["--check"]) == 1
    assert main([]) == 0
    assert main(["--check"]) == 0
    (tmp_path / "pages" / "no-session.txt").write_text("edited")
    (tmp_path / "pages" / "gone.txt").write_text("left over")
    assert main(["--check"]) == 1
    said = capsys.readouterr().out
    assert "no-session.txt is out of date" in said
    assert "gone.txt is out of date" in said
    assert main([]) == 0
    assert main(["--check"]) == 0
