"""What pytest-env gives the tests, read from the files that it reads."""

import pytest

from pgsandbox.cli.init.pytest_env import given_variables

_INI = """
    [pytest]
    addopts = -q
    env =
        SHOP_HOST=localhost
        D:DATABASE_URL=postgresql://{SHOP_HOST}/shop
        R:PATTERN={raw}
        D:HOME=nowhere
        U:SHOP_HOST
"""


def _said(found):
    return [(each.name, each.value, each.path.name, each.line) for each in found]


@pytest.mark.parametrize(
    ("name", "header"),
    [("pytest.ini", "[pytest]"), ("tox.ini", "[pytest]"), ("setup.cfg", "[tool:pytest]")],
)
def test_lines_of_an_ini_file(written, name, header):
    """With their flags: a default, a raw value, one that is taken away."""
    root = written({name: _INI.replace("[pytest]", header)})

    assert _said(given_variables(root, {"HOME": "/home/ada"})) == [
        ("DATABASE_URL", "postgresql://localhost/shop", name, 5),
        ("PATTERN", "{raw}", name, 6),
        ("HOME", "/home/ada", name, 7),
    ]


@pytest.mark.parametrize("header", ["[tool.pytest.ini_options]", "[tool.pytest]"])
def test_lines_of_pytests_own_table(written, header):
    """As a list, of either of the two tables that pytest reads."""
    root = written({"pyproject.toml": f'{header}\nenv = [\n    "DATABASE_URL=sqlite://",\n]\n'})

    assert _said(given_variables(root, {})) == [("DATABASE_URL", "sqlite://", "pyproject.toml", 3)]


def test_its_own_table_comes_before_the_lines(written):
    """A value there is taken as it is, unless it says otherwise."""
    root = written(
        {
            "pytest.ini": "[pytest]\nenv = DATABASE_URL=sqlite://\n",
            "pyproject.toml": """
                [tool.other]
                DATABASE_URL = "none of pytest-env's"

                [tool.pytest_env]
                HOST = "localhost"
                DATABASE_URL = {value = "postgresql://{HOST}/shop", transform = true}
                KEPT = {value = "1", skip_if_set = true}
                PLAIN = "{HOST}"
                GONE = {unset = true}
            """,
        }
    )

    assert _said(given_variables(root, {"KEPT": "0", "GONE": "1"})) == [
        ("HOST", "localhost", "pyproject.toml", 5),
        ("DATABASE_URL", "postgresql://localhost/shop", "pyproject.toml", 6),
        ("KEPT", "0", "pyproject.toml", 7),
        ("PLAIN", "{HOST}", "pyproject.toml", 8),
    ]


def test_files_come_before_both(written):
    """The variables of a file hold unless a line gives them anew."""
    root = written(
        {
            "pytest.ini": "[pytest]\nenv_files =\n    .env.test\n    none\nenv = SECOND=2\n",
            ".env.test": "# a comment\nexport DATABASE_URL='sqlite://'\nSECOND=1\n",
        }
    )

    assert _said(given_variables(root, {})) == [
        ("DATABASE_URL", "sqlite://", ".env.test", 2),
        ("SECOND", "2", "pytest.ini", 5),
    ]


def test_a_project_without_any_gives_nothing(written):
    """Nor does one whose files nobody can read."""
    assert given_variables(written({"pytest.ini": "[pytest]\n"}), {}) == []
    assert given_variables(written({"pyproject.toml": "[tool.pytest_env\n"}), {}) == []


@pytest.mark.parametrize(
    ("value", "is_database", "is_postgresql"),
    [
        ("postgresql+asyncpg://localhost/shop", True, True),
        ("postgres://localhost/shop", True, True),
        ("sqlite:///shop.db", True, False),
        ("mysql+pymysql://localhost/shop", True, False),
        ("redis://localhost", False, False),
        ("postgres", False, False),
    ],
)
def test_a_database_is_known_by_its_url(written, value, is_database, is_postgresql):
    """Whatever the variable is called."""
    (found,) = given_variables(written({"pytest.ini": f"[pytest]\nenv = X={value}\n"}), {})

    assert (found.is_database, found.is_postgresql) == (is_database, is_postgresql)
