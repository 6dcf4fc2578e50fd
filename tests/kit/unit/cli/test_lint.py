"""``pgsandbox lint``: where it looks, what it prints, how it ends."""

import io
import json
import sys

import pytest

from pgsandbox.cli import main

SLEEPS = "import time\n\n\ndef test_it(db_session):\n    time.sleep(1)\n    assert db_session\n"
PLACE = "tests/integration/test_it.py:5:5"
CLEAN = "def test_it(db_session):\n    assert db_session\n"
SETTINGS = '[tool.pgsandbox]\nmetadata = "shop:db"\n'


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A function that writes files; the current directory is their project."""
    monkeypatch.chdir(tmp_path)

    def write(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


def test_nothing_found_ends_with_0(project, capsys):
    """One line says how much was read."""
    project({"pyproject.toml": SETTINGS, "tests/integration/test_it.py": CLEAN})

    assert main(["lint"]) == 0
    assert capsys.readouterr().out == "1 file, 0 findings\n"


def test_a_finding_ends_with_1(project, capsys):
    """Its place, its rule, what to do."""
    project({"pyproject.toml": SETTINGS, "tests/integration/test_it.py": SLEEPS})

    assert main(["lint"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{PLACE}: PGS301 time.sleep() waits for some time, not for an event",
        "  Wait for what is to happen: join the thread, or look for it in a loop with a deadline.",
        "1 file, 1 finding",
    ]


def test_paths_come_from_the_settings(project, capsys):
    """All of what is below them; other tests are another matter."""
    project(
        {
            "pyproject.toml": f'{SETTINGS}paths = ["checks", "more"]\n',
            "checks/anything.py": SLEEPS,
            "more/deep/test_it.py": SLEEPS,
            "tests/unit/test_it.py": SLEEPS,
        }
    )

    assert main(["lint"]) == 1
    assert capsys.readouterr().out.endswith("2 files, 2 findings\n")


def test_paths_on_the_command_line_replace_them(project, capsys):
    """Without any settings, too: to look at a suite before it changes."""
    project({"tests/unit/test_it.py": SLEEPS, "tests/integration/test_it.py": SLEEPS})

    assert main(["lint", "tests/unit", "tests/unit/test_it.py"]) == 1
    assert capsys.readouterr().out.endswith("1 file, 1 finding\n")


def test_it_runs_from_below_the_root(project, monkeypatch, capsys):
    """Findings name files from the root, where the settings stand."""
    root = project({"pyproject.toml": SETTINGS, "tests/integration/test_it.py": SLEEPS})
    monkeypatch.chdir(root / "tests" / "integration")

    assert main(["lint", "test_it.py"]) == 1
    assert capsys.readouterr().out.startswith("tests/integration/test_it.py:5:5: PGS301")


def test_the_settings_forbid_and_redirect(project, capsys):
    """``forbidden-imports`` holds where ``redirect`` makes the application's engine harmless."""
    project(
        {
            "pyproject.toml": f'{SETTINGS}url = "shop:url"\nredirect = true\n'
            'forbidden-imports = ["shop.mailer"]\n',
            "shop.py": "from sqlalchemy import create_engine\nengine = create_engine('x')\n",
            "tests/integration/test_it.py": "from shop import engine, mailer\n",
        }
    )

    assert main(["lint"]) == 1
    assert capsys.readouterr().out.startswith(
        "tests/integration/test_it.py:1:26: PGS101 the test imports `shop.mailer`, "
        "which forbidden-imports names"
    )


@pytest.mark.parametrize("table", ["tool.pytest", "tool.pytest.ini_options"])
@pytest.mark.parametrize("pythonpath", ['"lib other"', '["other", "lib"]'])
def test_the_application_is_found_on_pytests_path(project, table, pythonpath, capsys):
    """The setting pythonpath of pytest says where else the application stands."""
    project(
        {
            "pyproject.toml": f"{SETTINGS}[{table}]\npythonpath = {pythonpath}\n",
            "lib/shop.py": "from sqlalchemy import create_engine\nengine = create_engine('x')\n",
            "tests/integration/test_it.py": "from shop import engine\n",
        }
    )

    assert main(["lint"]) == 1
    assert "PGS101" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "paths", "source"),
    [
        (["gone"], "", "command line"),
        ([], 'paths = ["nowhere"]\n', "pyproject.toml [tool.pgsandbox]"),
    ],
)
def test_a_path_that_is_not_there_ends_with_2(project, arguments, paths, source, capsys):
    """To read nothing and to find nothing is not the same."""
    project({"pyproject.toml": f"{SETTINGS}{paths}"})

    assert main(["lint", *arguments]) == 2
    assert source in capsys.readouterr().err


def test_a_wrong_setting_ends_with_2(project, capsys):
    """As everywhere else."""
    project({"pyproject.toml": f"{SETTINGS}pathz = []\n"})

    assert main(["lint"]) == 2
    assert 'did you mean "paths"?' in capsys.readouterr().err


def test_the_root_may_be_given(project, capsys):
    """As for the other commands."""
    project({"shop/pyproject.toml": SETTINGS, "shop/tests/integration/test_it.py": SLEEPS})

    assert main(["lint", "--root", "shop"]) == 1
    assert capsys.readouterr().out.startswith(PLACE)


@pytest.mark.parametrize("option", [["--format", "json"], ["--json"]], ids=" ".join)
def test_json(project, option, capsys):
    """For programs."""
    project({"tests/integration/test_it.py": SLEEPS})
    main(["lint", *option])
    (finding,) = json.loads(capsys.readouterr().out)["findings"]

    assert finding == {
        "code": "PGS301",
        "message": "time.sleep() waits for some time, not for an event",
        "path": "tests/integration/test_it.py",
        "line": 5,
        "column": 5,
        "remedy": "Wait for what is to happen: join the thread, or look for it in a loop with a "
        "deadline.",
        "page": "reference/lint/#pgs301",
    }


def test_github(project, capsys):
    """For the lines of a pull request."""
    project({"tests/integration/test_it.py": SLEEPS})
    main(["lint", "--format", "github"])

    assert capsys.readouterr().out.startswith(
        "::error file=tests/integration/test_it.py,line=5,col=5,title=PGS301::time.sleep() waits"
    )


@pytest.mark.parametrize("code", ["PGS101", "pgs101"])
def test_explain(code, capsys):
    """Why, what instead, both examples, the page; no file is read."""
    assert main(["lint", "--explain", code]) == 0
    said = capsys.readouterr().out
    assert said.startswith("PGS101: A test does not import")
    assert "    from myapp.database import SessionLocal" in said
    assert "    def test_a_user_is_stored(db_session):" in said
    assert said.endswith("Background: reference/lint/#pgs101\n")


def test_explain_without_an_example(capsys):
    """What is no Python has none."""
    assert main(["lint", "--explain", "PGS001"]) == 0
    assert "Not so" not in capsys.readouterr().out


def test_a_name_that_the_terminal_cannot_show(project, monkeypatch):
    """It is printed with escapes; the run does not end in an encoding error."""
    project({"tests/integration/test_zoë.py": SLEEPS})
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    code = main(["lint"])
    sys.stdout.flush()

    assert code == 1
    assert written.getvalue().startswith(b"tests/integration/test_zo\\xeb.py:5:5: PGS301")
