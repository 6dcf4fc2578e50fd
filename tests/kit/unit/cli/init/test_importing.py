"""The step that imports runs elsewhere, connects nowhere, and says what was in its way."""

import pytest

from pgsandbox.cli.init.importing import imported

pytestmark = pytest.mark.usefixtures("programs_are_forked")

BASE = """
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(5))
    nick: Mapped[str | None]
"""
POSTGRESQL = """
from sqlalchemy import create_engine

create_engine("postgresql+psycopg2://127.0.0.1/shop").connect()
"""


def test_tables_and_columns_are_seen(written):
    """With what a row of them has to be given."""
    root = written({"models.py": BASE})
    seen = imported(root, [root], ["models:Base"], [], {})
    (user,) = seen.models

    assert seen.error == ""
    assert seen.tables == {"models:Base": 1}
    assert [each["key"] for each in user["columns"] if each["is_required"]] == ["name"]
    assert user["columns"][1]["length"] == 5


def test_engines_are_seen_wherever_they_are_kept(written):
    """By a name that leads to them, without their passwords."""
    root = written(
        {
            "models.py": BASE,
            "db.py": """
                from sqlalchemy import create_engine

                class Manager:
                    def __init__(self):
                        self._engine = create_engine("postgresql+psycopg2://a:secret@h/shop")

                manager = Manager()
                engines = {"reader": create_engine("sqlite://")}
            """,
        }
    )
    seen = imported(root, [root], ["models:Base"], ["db"], {})
    by_name = {each["reference"]: each for each in seen.engines}

    assert by_name["db:manager._engine"]["url"] == "postgresql+psycopg2://a@h/shop"
    assert by_name["db:manager._engine"]["is_named"]
    assert not by_name["db:engines[reader]"]["is_named"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sqlite3\nsqlite3.connect(':memory:')\n", "connects to nothing"),
        (
            "import sqlalchemy\nsqlalchemy.create_engine('sqlite://').connect()\n",
            "connects to nothing",
        ),
        (POSTGRESQL, "connects to nothing"),
        ("import psycopg2\npsycopg2.connect('host=127.0.0.1')\n", "connects to nothing"),
        ("import psycopg\npsycopg.Connection.connect('')\n", "connects to nothing"),
        ("import socket\nsocket.create_connection(('127.0.0.1', 1))\n", "connects to nothing"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("import os\nos._exit(3)\n", "importing ended the process"),
    ],
    ids=["sqlite3", "sqlite", "postgresql", "psycopg2", "psycopg", "socket", "error", "exit"],
)
def test_nothing_is_connected_to(written, text, said):
    """What a module does when it is imported is refused, and told."""
    root = written({"models.py": BASE, "db.py": text})
    seen = imported(root, [root], ["models:Base"], ["db"], {})

    assert said in seen.error


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("import os\nos.environ['SHOP_SECRET']\n", ["SHOP_SECRET"]),
        ("raise RuntimeError('Set the SHOP_KEY environment variable')\n", ["SHOP_KEY"]),
        ("raise KeyError(\"Config 'SHOP_SALT' is missing\")\n", ["SHOP_SALT"]),
        ("{}['name']\n", []),
        (
            "raise OSError('Setting APPS: the variable DJANGO_SETTINGS_MODULE is not set')\n",
            [],
        ),
    ],
    ids=["environ", "message", "config", "another key", "Django's"],
)
def test_missing_variables_are_named(written, text, missing):
    """Those that the import would have needed."""
    root = written({"models.py": BASE, "db.py": text})
    seen = imported(root, [root], ["models:Base"], ["db"], {})

    assert seen.missing == missing
    assert seen.place.startswith("db.py:")


@pytest.mark.parametrize(
    ("text", "said", "place"),
    [
        ("def make(): return object()", "", ""),
        ("def make(name=None): return object()", "", ""),
        ("class App:\n    def app_context(self): pass\nmake = App()", "", ""),
        ("def make(name): return object()", "arguments that have to be given: missing a re", ""),
        ("def make(*, name): return object()", "arguments that have to be given: missing a r", ""),
        (
            "import functools\ndef both(a, b): pass\nmake = functools.partial(both, 1)",
            "arguments that have to be given: missing a required argument: 'b'",
            "",
        ),
        ("def make():\n    return 1 / 0", "ZeroDivisionError: division by zero", "app.py:2"),
        ("import sys\ndef make():\n    sys.exit('no')", "SystemExit: no", "app.py:3"),
        (
            (
                "import sqlite3\ndef make():\n    try:\n        sqlite3.connect(':memory:')\n"
                "    except OSError as error:\n        raise KeyError('later') from error"
            ),
            "",
            "",
        ),
    ],
    ids=["good", "default", "object", "one", "by name", "partial", "fails", "exits", "connects"],
)
def test_a_factory_is_tried(written, text, said, place):
    """What it needs, or why it fails, is told; one that would connect goes on in a test run."""
    root = written({"models.py": BASE, "app.py": text})
    seen = imported(root, [root], ["models:Base"], ["app"], {}, "app:make")

    assert seen.error == ""
    assert said in seen.factory_error
    assert bool(said) == bool(seen.factory_error)
    assert seen.factory_place == place


def test_a_factory_that_lacks_a_variable_names_it(written):
    """It can be given one, as a module can."""
    factory = "import os\ndef make():\n    return os.environ['SHOP_SECRET']"
    root = written({"models.py": BASE, "app.py": factory})
    seen = imported(root, [root], ["models:Base"], ["app"], {}, "app:make")

    assert seen.missing == ["SHOP_SECRET"]
