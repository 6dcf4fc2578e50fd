"""The page of the rules says what the rules say."""

import pytest

from pgsandbox.lint import RULES
from tests.kit.unit.docs.lint_rules import PAGE, main, page


def test_the_page_is_generated():
    """Run ``python -m tests.kit.unit.docs.lint_rules`` where this fails."""
    text = PAGE.read_text("utf-8")

    assert page(text) == text


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rule_has_the_section_that_its_findings_name(rule):
    """The page and the anchor of ``reference/lint/#...``."""
    location, _, anchor = rule.page.partition("/#")

    assert location == "reference/lint"
    assert f"{{ #{anchor} }}" in PAGE.read_text("utf-8")


def test_a_change_is_found(monkeypatch, tmp_path, capsys):
    """``--check`` fails on a page that somebody edited by hand."""
    edited = tmp_path / "lint.md"
    edited.write_text(PAGE.read_text("utf-8").replace("| code |", "| Code |", 1))
    monkeypatch.setattr("tests.kit.unit.docs.lint_rules.PAGE", edited)

    assert main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().out
    assert main([]) == 0
    assert main(["--check"]) == 0
