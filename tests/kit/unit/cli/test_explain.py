"""``pgsandbox explain`` prints the page of an error, a rule or a setting."""

import pytest

from pgsandbox import errors
from pgsandbox.cli import main
from pgsandbox.config import SETTINGS
from pgsandbox.errors import PgSandboxError
from pgsandbox.lint import RULES
from tests.kit.integration.recorded import recorded

ERRORS = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, PgSandboxError)
]


def explained(capsys, *arguments):
    """The exit code and what is printed."""
    code = main(["explain", *arguments])
    return code, capsys.readouterr()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_the_command_of_a_message_prints_the_errors_page(error, capsys):
    """Whoever copies it from the message has the page."""
    command = str(error("x")).rpartition("Background: pgsandbox ")[2].partition(" (")[0]
    code = main(command.split())

    assert code == 0
    assert capsys.readouterr().out.startswith(f"{error.__name__}\n\n")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rule_is_explained(rule, capsys):
    """As by ``pgsandbox lint --explain``."""
    _, said = explained(capsys, rule.code.lower())
    main(["lint", "--explain", rule.code])

    assert said.out == capsys.readouterr().out
    assert said.out.startswith(f"{rule.code}: ")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_a_setting_is_explained(setting, capsys):
    """With its value, its default and the places where it may stand."""
    code, said = explained(capsys, setting.key)

    assert code == 0
    assert said.out.startswith(f"{setting.key}, a setting\n")
    assert setting.kind.allowed in said.out
    assert said.out.endswith(f"Background: reference/settings/#{setting.key}\n")


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("foreign-database", "ForeignDatabase"),
        ("pgsandbox.errors.ForeignDatabase", "ForeignDatabase"),
        ("foreigndatabase", "ForeignDatabase"),
        ("--pg-redirect", "redirect, a setting"),
        ("PGSANDBOX_SWALLOWED_REFUSALS", "swallowed-refusals, a setting"),
        ("child_env", "child-env, a setting"),
    ],
)
def test_a_name_is_found_in_every_spelling(name, first, capsys):
    """As a traceback, an address, a flag or a variable has it."""
    code, said = explained(capsys, "--", name)

    assert code == 0
    assert said.out.splitlines()[0] == first


def test_an_unknown_name_is_refused(capsys):
    """With the nearest one."""
    code, said = explained(capsys, "ForeignDatabases")

    assert code == 2
    assert 'No error, rule or setting is called "ForeignDatabases"' in said.err
    assert 'did you mean "ForeignDatabase"?' in said.err


def test_no_name_lists_all(capsys):
    """So that nobody has to guess; the reference shows the list."""
    code, said = explained(capsys)

    assert code == 0
    assert said.out == recorded("output/explain-names", said.out)


def test_the_reference_shows_a_setting(capsys):
    """What it prints is on the site."""
    _, said = explained(capsys, "redirect")

    assert said.out == recorded("output/explain-setting", said.out)
