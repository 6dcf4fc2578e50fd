"""``pgsandbox COMMAND``: help, errors, exit codes, and what is imported for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import pgsandbox
from pgsandbox.cli import COMMANDS, main

SOURCE = str(Path(pgsandbox.__file__).parents[1])
PROGRAM = f"""
import json, sys
sys.path.insert(0, {SOURCE!r})
from pgsandbox.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print(json.dumps([code, sorted(sys.modules)]))
"""


def run(*arguments, cwd=None):
    """The exit code of ``pgsandbox *arguments*`` in a process of its own, and what it imported."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=cwd)
    code, modules = json.loads(done.stdout.splitlines()[-1])
    return code, modules


def test_help_names_every_command(capsys):
    """With what it does."""
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    said = capsys.readouterr().out

    assert end.value.code == 0
    assert all(name in said for name in COMMANDS)
    assert "0 fine, 1 findings, 2 cannot run" in said


def test_no_command_shows_the_help(capsys):
    """And is no success: whatever called it wanted something."""
    assert main([]) == 2
    assert "COMMAND" in capsys.readouterr().out


def test_the_version(capsys):
    """The one that is installed."""
    with pytest.raises(SystemExit) as end:
        main(["--version"])

    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == pgsandbox.__version__


@pytest.mark.parametrize("arguments", [["unknown"], ["lint", "--unknown"]])
def test_an_unknown_word_is_refused(arguments, capsys):
    """On standard error, as one that cannot run."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    said = capsys.readouterr()

    assert end.value.code == 2
    assert said.out == ""
    assert "unknown" in said.err


def test_an_error_of_pgsandbox_goes_to_standard_error(capsys):
    """With its remedy and its page, and without a traceback."""
    assert main(["lint", "--explain", "PGS999"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("ConfigurationError: There is no rule PGS999.")
    assert said.err.endswith(
        "Background: pgsandbox explain ConfigurationError (reference/errors/configuration-error/)\n"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_only_the_chosen_command_is_imported(name):
    """Another one may need what is not installed."""
    code, modules = run(name, "--help")
    commands = {f"pgsandbox.cli.{each}" for each in COMMANDS}

    assert code == 0
    assert commands.intersection(modules) == {f"pgsandbox.cli.{name}"}


def test_lint_imports_nothing_but_the_standard_library(tmp_path):
    """Neither a library nor the application it reads about, nor any part that knows a database."""
    (tmp_path / "shop.py").write_text("raise SystemExit('imported')\n")
    tests = tmp_path / "tests/integration"
    tests.mkdir(parents=True)
    (tests / "test_it.py").write_text("import shop\nfrom shop import engine\n")
    code, modules = run("lint", cwd=tmp_path)
    packages = {module.partition(".")[0] for module in modules}
    ours = {name.split(".")[1] for name in modules if name.startswith("pgsandbox.")}

    assert code == 0
    assert not packages & {
        "sqlalchemy",
        "pytest",
        "psycopg2",
        "flask",
        "factory",
        "shop",
        "_pytest",
    }
    assert ours == {"cli", "config", "errors", "guard", "lint", "masking", "reports"}


def test_python_dash_m(tmp_path):
    """``python -m pgsandbox`` is the same command, with the same exit code."""
    command = [sys.executable, "-m", "pgsandbox", "lint"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith("ConfigurationError: There is no tests/integration to read.")
