"""What the site shows of ``pgsandbox lint`` is what it prints.

``RECORD=1 pytest tests/kit/unit/cli/test_recorded.py`` writes the files instead.
"""

import contextlib
import shutil

import pytest

from pgsandbox.cli import main
from pgsandbox.lint import RULES
from tests.kit.integration.recorded import EXAMPLES, recorded

UNFINISHED = "def test_nothing(\n"


@pytest.fixture
def printed(tmp_path, monkeypatch, capsys):
    """A function that runs a command in a copy of ``faulty`` and returns what it prints."""
    shutil.copytree(EXAMPLES / "faulty", tmp_path / "faulty")
    (tmp_path / "faulty/tests/integration/test_unfinished.py").write_text(UNFINISHED)
    monkeypatch.chdir(tmp_path / "faulty")
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        with contextlib.suppress(SystemExit):
            main(arguments)
        said = capsys.readouterr().out
        return said.replace("Python 3.12", "Python 3.11").replace("Python 3.13", "Python 3.11")

    return run


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("lint", []),
        ("lint-github", ["--format", "github"]),
        ("lint-explain", ["--explain", "PGS301"]),
        ("lint-help", ["--help"]),
    ],
    ids=["text", "github", "explain", "help"],
)
def test_what_is_printed_is_on_the_site(printed, name, arguments):
    """In a project that breaks every rule."""
    said = printed("lint", *arguments)

    assert said == recorded(f"output/{name}", said)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_project_breaks_every_rule(printed, rule):
    """Whoever reads its output has seen them all."""
    assert f" {rule.code} " in printed("lint")
