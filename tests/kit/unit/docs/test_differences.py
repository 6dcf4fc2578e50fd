"""The reference of the schema diff says what its tests make and find."""

from tests.kit.unit.docs.differences_table import PAGE, main, page


def test_the_page_is_generated():
    """Run ``python -m tests.kit.unit.docs.differences_table`` where this fails."""
    text = PAGE.read_text("utf-8")

    assert page(text) == text
    assert text.count("\n| `") > 250


def test_a_change_is_found(monkeypatch, tmp_path, capsys):
    """``--check`` fails on a page that somebody edited by hand."""
    edited = tmp_path / "schema-diff.md"
    edited.write_text(PAGE.read_text("utf-8").replace("`column-type`", "`column-kind`", 1))
    monkeypatch.setattr("tests.kit.unit.docs.differences_table.PAGE", edited)

    assert main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().out
    assert main([]) == 0
    assert main(["--check"]) == 0
