"""Each rule finds what its bad files do, and nothing in its good ones.

``RECORD=1 pytest tests/kit/unit/lint/test_golden.py`` writes down what is found now.
"""

import os
from pathlib import Path

import pytest

from pgsandbox.lint import RULES, Project, check
from tests.kit.unit.docs.pages import published

GOLDEN = Path(__file__).parent / "golden"
BAD = sorted(GOLDEN.glob("PGS*/bad*.py"))
GOOD = sorted(GOLDEN.glob("PGS*/good*.py"))
EXAMPLES = [rule for rule in RULES if rule.bad]


def name_of(file):
    """The rule and the file."""
    return f"{file.parent.name}/{file.stem}"


def found_in(file):
    """What is found in *file*, of a project whose application is golden/myapp."""
    report = check(Project(root=GOLDEN, paths=(file,)))
    lines = [f"{each.line}:{each.column} {each.code} {each.message}" for each in report.findings]
    return (
        "\n".join(lines).replace("Python 3.12", "Python 3.11").replace("Python 3.13", "Python 3.11")
    )


@pytest.mark.parametrize("file", BAD, ids=name_of)
def test_what_is_bad_is_found(file):
    """At the recorded places, with the recorded words, and nothing else."""
    found = found_in(file)
    record = file.with_suffix(".txt")
    if os.environ.get("RECORD"):
        record.write_text(f"{found}\n")

    assert found == record.read_text().rstrip("\n")
    assert file.parent.name in found


@pytest.mark.parametrize("file", GOOD, ids=name_of)
def test_what_is_good_is_left_alone(file):
    """No rule finds anything, whichever the file was written for."""
    assert found_in(file) == ""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rule_has_its_examples(rule):
    """A bad file and a good one."""
    assert (GOLDEN / rule.code / "bad.py").is_file()
    assert (GOLDEN / rule.code / "good.py").is_file()


@pytest.mark.parametrize("rule", EXAMPLES, ids=lambda rule: rule.code)
def test_what_explain_shows_is_tested(rule):
    """The examples of ``--explain`` are the sections that the files above publish."""
    folder = GOLDEN / rule.code

    assert published(folder / "bad.py")["bad"] == rule.bad.strip()
    assert published(folder / "good.py")["good"] == rule.good.strip()


def test_every_folder_belongs_to_a_rule():
    """Nothing is left of a rule that is gone."""
    assert {folder.name for folder in GOLDEN.glob("PGS*")} == {rule.code for rule in RULES}
