"""Which files are read, what the settings change, and where a finding is."""

import ast
import time
from pathlib import Path

import pytest

from pgsandbox.lint import Project, check

ROOT = Path(__file__).parents[4]
SLEEPS = "import time\n\n\ndef test_it(db_session):\n    time.sleep(1)\n    assert db_session\n"
ENGINE = "from sqlalchemy import create_engine\n\nengine = create_engine('postgresql://x/y')\n"
IMPORTS = "from shop.database import engine\n\n\ndef test_it():\n    assert engine\n"


@pytest.fixture
def project(tmp_path):
    """A function that writes files and returns what is found: (path, code) pairs."""

    def found(files, **more):
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        given = {"root": tmp_path, "paths": (tmp_path / "tests",), **more}
        return [(each.path, each.code) for each in check(Project(**given)).findings]

    return found


def test_this_repository_is_silent():
    """The tests that people copy break no rule."""
    report = check(Project(ROOT, (ROOT / "tests/integration",), with_conftests_above=True))

    assert report.findings == ()
    assert int(report.summary.split()[0]) > 20


@pytest.mark.parametrize("example", ["established", "flask", "library", "quickstart"])
def test_the_examples_are_silent(example):
    """So are the small projects of the site."""
    root = ROOT / "tests/examples" / example

    assert check(Project(root, (root / "tests",))).findings == ()


def test_an_unreadable_file_stops_no_other(project):
    """It is a finding, and so is what the others hold."""
    files = {
        "tests/a.py": "def broken(:\n",
        "tests/b.py": b"\0",
        "tests/c.py": b"\xff\xfe",
        "tests/d.py": "(" * 5000 + ")" * 5000,
        "tests/e.py": SLEEPS,
    }

    assert project(files) == [
        ("tests/a.py", "PGS001"),
        ("tests/b.py", "PGS001"),
        ("tests/c.py", "PGS001"),
        ("tests/d.py", "PGS001"),
        ("tests/e.py", "PGS301"),
    ]


def test_the_declared_encoding_is_used(project):
    """As Python does, whatever the machine prefers."""
    latin = "# -*- coding: latin-1 -*-\nNAME = 'Zoë'\n"

    assert project({"tests/a.py": latin.encode("latin-1")}) == []
    assert project({"tests/a.py": latin.replace("latin-1", "ascii").encode()}) != []


def test_a_huge_file_is_a_finding(project):
    """Its tree would take hundreds of megabytes."""
    assert project({"tests/big.py": "#" * 5_000_001}) == [("tests/big.py", "PGS001")]


def test_what_is_not_the_projects_python_is_left_out(project):
    """Notebooks, environments, caches, hidden folders, other people's packages."""
    files = {
        "tests/notebook.ipynb": SLEEPS,
        "tests/.hidden/test_it.py": SLEEPS,
        "tests/__pycache__/test_it.py": SLEEPS,
        "tests/node_modules/test_it.py": SLEEPS,
        "tests/venv/pyvenv.cfg": "",
        "tests/venv/test_it.py": SLEEPS,
        "tests/deep/er/anything.py": SLEEPS,
    }

    assert project(files) == [("tests/deep/er/anything.py", "PGS301")]


def test_a_link_that_leads_back_is_not_followed(project, tmp_path):
    """And two links to one file are one file."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/loop").symlink_to(tmp_path / "tests")
    (tmp_path / "tests/test_b.py").symlink_to(tmp_path / "tests/test_a.py")
    (tmp_path / "tests/test_gone.py").symlink_to(tmp_path / "nowhere.py")

    assert project({"tests/test_a.py": SLEEPS}) == [
        ("tests/test_a.py", "PGS301"),
        ("tests/test_gone.py", "PGS001"),
    ]


def test_a_column_counts_characters(tmp_path):
    """Not bytes: an editor puts its cursor there."""
    file = tmp_path / "test_it.py"
    file.write_text(
        "import time\n\n\ndef test_it(db_session):\n    assert 'Zoë 🐘', time.sleep(1)\n"
    )
    (finding,) = check(Project(tmp_path, (file,))).findings

    assert (finding.line, finding.column) == (5, 21)


def test_a_form_feed_ends_no_line(tmp_path):
    """Python's parser and ``str.splitlines`` do not agree on that."""
    file = tmp_path / "test_it.py"
    file.write_text("import time\n\x0c\ndef test_it(db_session):\n    assert 'ë', time.sleep(1)\n")
    (finding,) = check(Project(tmp_path, (file,))).findings

    assert (finding.line, finding.column) == (4, 17)


def test_the_import_is_fine_where_engines_are_redirected(project):
    """With redirect, the application's engines lead to the test database."""
    files = {"shop/database.py": ENGINE, "tests/test_it.py": IMPORTS}

    assert project(files) == [("tests/test_it.py", "PGS101")]
    assert project({}, redirect=True) == []


@pytest.mark.parametrize(
    "forbidden", ["shop.database.engine", "shop.database", "shop", "elsewhere.engine"]
)
@pytest.mark.parametrize(
    "line",
    [
        "from shop.database import engine",
        "import shop.database as d; d.engine",
        "from shop import again",
        "from shop import database; database.engine",
    ],
)
def test_a_forbidden_import_is_found_under_any_name(project, forbidden, line):
    """By the name it is imported under, or by the one it is defined as; redirect or not."""
    files = {
        "shop/__init__.py": "from shop.database import engine as again\n",
        "shop/database.py": "from elsewhere import engine\n",
        "tests/test_it.py": f"{line}\n",
    }

    assert ("tests/test_it.py", "PGS101") in project(files, forbidden=(forbidden,), redirect=True)


def test_a_name_that_only_begins_like_a_forbidden_one(project):
    """``shop.data`` is not ``shop.database``."""
    files = {"tests/test_it.py": "from shop.database import engine_name\n"}

    assert project(files, forbidden=("shop.data", "shop.database.engine")) == []


@pytest.mark.parametrize("place", ["shop", "src/shop", "backend/shop", "lib/shop"])
def test_the_application_is_found_where_it_stands(project, tmp_path, place):
    """At the root, in src, beside the tests, and where pytest's pythonpath says."""
    files = {f"{place}/database.py": ENGINE, "backend/tests/test_it.py": IMPORTS}
    found = project(files, paths=(tmp_path / "backend/tests",), sources=(tmp_path / "lib",))

    assert found == [("backend/tests/test_it.py", "PGS101")]


def test_a_relative_import_is_followed(project):
    """From a package of tests beside the application."""
    files = {
        "shop/__init__.py": "",
        "shop/database.py": ENGINE,
        "shop/tests/__init__.py": "",
        "shop/tests/test_it.py": "from ..database import engine\nfrom .. import database\n"
        "assert database.engine\n",
    }
    found = project(files, paths=(), given=(Path(project.__closure__[0].cell_contents) / "shop",))

    assert found == [("shop/tests/test_it.py", "PGS101")] * 2


def test_a_module_that_imports_itself_ends(project):
    """Two modules that import each other, and a name that is its own alias."""
    files = {
        "shop/a.py": "from shop.b import engine\n",
        "shop/b.py": "from shop.a import engine\nengine = engine\nfrom shop.a import *\n",
        "tests/test_it.py": "from shop.a import engine, other\n",
    }

    assert project(files) == []


def test_a_conftest_above_is_read_for_what_it_shares(project):
    """Its engines reach the integration tests; its mocks are for the unit tests beside them."""
    files = {
        "conftest.py": ENGINE,
        "tests/conftest.py": f"{ENGINE}from unittest.mock import Mock\n"
        "from sqlalchemy.orm import Session\nsession = Mock(spec=Session)\n",
        "tests/integration/test_it.py": SLEEPS,
    }
    root = Path(project.__closure__[0].cell_contents)
    found = project(files, paths=(root / "tests/integration",), with_conftests_above=True)

    assert found == [
        ("conftest.py", "PGS102"),
        ("tests/conftest.py", "PGS102"),
        ("tests/integration/test_it.py", "PGS301"),
    ]


def test_of_a_folder_that_holds_other_things_the_tests_are_read(project, tmp_path):
    """``pgsandbox lint .`` does not judge the application; a file that is named is read."""
    files = {
        "shop/database.py": ENGINE,
        "shop/conftest.py": ENGINE,
        "shop/test_it.py": ENGINE,
        "shop/it_test.py": ENGINE,
        "tests/anything.py": ENGINE,
    }
    found = project(files, paths=(), given=(tmp_path,))
    named = project({}, paths=(), given=(tmp_path / "shop/database.py",))

    assert [path for path, _ in found] == [
        "shop/conftest.py",
        "shop/it_test.py",
        "shop/test_it.py",
        "tests/anything.py",
    ]
    assert named == [("shop/database.py", "PGS102")]


def test_the_summary_counts(tmp_path):
    """What was read, found, and ignored."""
    (tmp_path / "test_a.py").write_text(SLEEPS)
    (tmp_path / "test_b.py").write_text(
        SLEEPS.replace("(1)", "(1)  # pgsandbox: ignore[PGS301] a reason")
    )
    report = check(Project(tmp_path, (tmp_path,)))

    assert report.summary == "2 files, 1 finding, 1 ignored with a comment"


def test_the_rules_take_little_more_than_the_parser(tmp_path):
    """The peer is Python's own parser, measured in the same moment.

    Alone it takes 3 to 5 times as long; coverage, which does not slow the parser, makes it 25.
    """
    texts = [file.read_text() for file in (ROOT / "tests/integration").glob("test_*.py")]
    for number, text in enumerate(texts):
        (tmp_path / f"test_{number}.py").write_text(text)
    started = time.process_time()
    for text in texts:
        ast.parse(text)
    parsed = time.process_time()
    check(Project(tmp_path, (tmp_path,)))
    checked = time.process_time()

    assert checked - parsed < 60 * (parsed - started)
