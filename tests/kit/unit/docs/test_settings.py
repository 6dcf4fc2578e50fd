"""The reference of the settings says what the declarations say."""

import pytest

from pgsandbox.config import SETTINGS
from tests.kit.unit.docs.settings_table import PAGE, main, page


def test_the_page_is_generated():
    """Run ``python -m tests.kit.unit.docs.settings_table`` where this fails."""
    text = PAGE.read_text("utf-8")

    assert page(text) == text


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_a_setting_has_a_heading(setting):
    """So that a message can link to it."""
    assert f"{{ #{setting.key} }}" in PAGE.read_text("utf-8")


def test_a_change_is_found(monkeypatch, tmp_path, capsys):
    """``--check`` fails on a page that somebody edited by hand."""
    edited = tmp_path / "settings.md"
    edited.write_text(PAGE.read_text("utf-8").replace("| default |", "| by default |", 1))
    monkeypatch.setattr("tests.kit.unit.docs.settings_table.PAGE", edited)

    assert main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().out
    assert main([]) == 0
    assert main(["--check"]) == 0
