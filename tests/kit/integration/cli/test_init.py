"""``pgsandbox init`` in projects of several kinds, each from its sources to a green test."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from pgsandbox.cli import main
from tests.kit.integration.recorded import EXAMPLES, recorded
from tests.kit.nightly import by_night

pytestmark = pytest.mark.usefixtures("programs_are_forked")

Files = dict[str, str]

_MODELS = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
"""
_FLASK_MODELS = """
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()

class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(3), nullable=False)
"""
_BY_NAME = {
    "shop/__init__.py": """
        from flask import Flask
        from shop.models import db
        from shop.settings import config

        def create_app(name):
            app = Flask("shop")
            app.config.from_object(config[name])
            db.init_app(app)
            return app
    """,
    "shop/models.py": _FLASK_MODELS,
    "shop/settings.py": """
        class Development:
            SQLALCHEMY_DATABASE_URI = "sqlite:///shop.db"

        config = {"development": Development, "testing": Development}
    """,
}
_BY_CLASS = {
    **_BY_NAME,
    "shop/__init__.py": """
        from flask import Flask
        from shop.models import db
        from shop.settings import Development

        def create_app(settings=Development):
            app = Flask("shop")
            app.config.from_object(settings)
            db.init_app(app)
            return app
    """,
}
_HELD = {
    **_BY_NAME,
    "shop/__init__.py": """
        from flask import Flask
        from shop.models import db

        def create_app():
            app = Flask("shop")
            app.config.from_object("shop.settings.Development")
            db.init_app(app)
            return app
    """,
}
_FASTAPI = {
    "backend/pyproject.toml": '[project]\nname = "backend"\n',
    "backend/app/__init__.py": "",
    "backend/app/models.py": _MODELS,
    "backend/app/db.py": """
        from sqlalchemy import create_engine

        engine = create_engine("postgresql+psycopg2://shop:secret@127.0.0.1:1/shop")
    """,
    "backend/app/main.py": """
        from fastapi import FastAPI
        from app import db, models

        app = FastAPI()
    """,
    "frontend/package.json": "{}",
}
_ASYNCHRONOUS = {
    **_FASTAPI,
    "backend/app/db.py": """
        import os
        from sqlalchemy.ext.asyncio import create_async_engine

        os.environ["SHOP_SECRET"]
        engine = create_async_engine("postgresql+asyncpg://shop:secret@127.0.0.1:1/shop")
    """,
}
_PLAIN = {
    "setup.cfg": "[metadata]\nname = shop\n\n[tool:pytest]\naddopts = -q\n",
    "src/shop/__init__.py": "",
    "src/shop/models.py": _MODELS,
    "src/shop/db.py": """
        import os
        from sqlalchemy import create_engine

        engine = create_engine(os.environ["DATABASE_URL"])
    """,
    "src/shop/main.py": "from shop import db, models\n",
    "tests/__init__.py": "",
    "tests/test_sums.py": "def test_sums():\n    assert 1 + 1 == 2\n",
}
_KINDS = {
    "flask, configuration by name": _BY_NAME,
    "flask, configuration by class": _BY_CLASS,
    "flask, configuration held": _HELD,
    "fastapi in a monorepo": _FASTAPI,
    "fastapi, asynchronous": _ASYNCHRONOUS,
    "plain, src layout": _PLAIN,
}

Written = Callable[[Files], Path]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    """A function that writes a project and goes there."""

    def write(files: Files) -> Path:
        for name, text in files.items():
            file = tmp_path / "shop" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(dedent(text).lstrip("\n"))
        monkeypatch.chdir(tmp_path / "shop")
        return tmp_path / "shop"

    monkeypatch.delenv("DATABASE_URL", raising=False)
    return write


def contents(folder: Path) -> dict[str, str]:
    """The files of a project, but for what Python and pytest leave."""
    return {
        file.relative_to(folder).as_posix(): file.read_text()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not {"__pycache__", ".pytest_cache"} & set(file.parts)
    }


_AT_ONCE = (
    "flask, configuration by name",
    "fastapi, asynchronous",
)


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(files, id=kind, marks=() if kind in _AT_ONCE else pytest.mark.nightly)
        for kind, files in _KINDS.items()
    ],
)
def test_a_project_comes_to_a_green_test(
    written: Written, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one command, and nothing that was there is changed."""
    root = written(files)
    before = contents(root)
    code = main(["init", "--yes"])
    said = capsys.readouterr().out
    after = contents(root)

    assert code == 0, said
    assert "test_first.py is green" in said
    assert all(
        set(text.split("\n")) <= set(after[name].split("\n")) for name, text in before.items()
    )
    assert main(["init", "--yes"]) == 0
    assert "Nothing is missing." in capsys.readouterr().out
    assert contents(root) == after


def test_the_application_is_really_on_the_test_database(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    """An application that led elsewhere would make the first test fail."""
    root = written(_BY_CLASS)
    assert main(["init", "--yes"]) == 0
    conftest = root / "tests/integration/conftest.py"
    conftest.write_text(re.sub(r"= pg\.url", '= "sqlite://"', conftest.read_text()))
    (root / "tests/integration/test_first.py").unlink()
    capsys.readouterr()

    assert main(["init", "--yes"]) == 1
    assert "test_first.py is not green" in capsys.readouterr().out


def test_all_tests_are_green_with_the_first_one(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    """pytest loads the new conftest.py later there, which sets what the models' import needs."""
    models = "import os\nos.environ['SHOP_SECRET']\n" + dedent(_MODELS)
    root = written({**_PLAIN, "src/shop/models.py": models})
    assert main(["init", "--yes"]) == 0, capsys.readouterr().out
    words = (sys.executable, "-m", "pytest", "-p", "no:randomly")
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_what_is_missing_is_said(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    """A table and a conftest that are there stay as they are."""
    root = written(
        {
            **_FASTAPI,
            "backend/pyproject.toml": '[tool.pgsandbox]\nmetadata = "app.models:Base"\n',
            "backend/tests/integration/conftest.py": "import pytest\n",
        }
    )
    before = contents(root)
    code = main(["init", "--dry-run"])
    said = capsys.readouterr().out

    assert code == 0
    assert "pyproject.toml has [tool.pgsandbox]; it lacks url, redirect" in said
    assert "tests/integration/conftest.py is there; it lacks the fixture client" in said
    assert contents(root) == before


def test_what_will_collide_is_named(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    """With the file and the line, apart from what is only superfluous."""
    root = written(
        {
            **_FASTAPI,
            "backend/tests/conftest.py": """
                import pytest
                from sqlalchemy import create_engine
                from app.models import Base

                @pytest.fixture(autouse=True)
                def db_session():
                    engine = create_engine("sqlite://")
                    Base.metadata.create_all(engine)
                    yield
            """,
        }
    )
    main(["init", "--json", "--dry-run"])
    found = json.loads(capsys.readouterr().out)

    assert found["superfluous"] == ["tests/conftest.py:8:5: PGS104"]
    assert found["colliding"] == ["tests/conftest.py:6: fixture", "tests/conftest.py:7:28: PGS103"]
    assert {Path(each["path"]).parts[0] for each in found["files"]} == {
        "integration_tests",
        "pyproject.toml",
    }
    assert not (root / "backend/integration_tests").exists()


def test_an_obstacle_stops_it(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    """An application whose database nothing can change is said so, and nothing is written."""
    root = written(
        {
            "app.py": """
                from flask import Flask
                from flask_sqlalchemy import SQLAlchemy

                app = Flask(__name__)
                app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///shop.db"
                db = SQLAlchemy(app)

                class User(db.Model):
                    id = db.Column(db.Integer, primary_key=True)
            """
        }
    )
    before = contents(root)
    code = main(["init", "--yes"])

    assert code == 1
    assert "In the way\n  app:app is made when it is imported" in capsys.readouterr().out
    assert contents(root) == before


def test_a_library_without_models_hears_what_to_write(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its tests make their own tables, and nothing is written for it."""
    root = written({"library.py": "def double(number):\n    return 2 * number\n"})
    before = contents(root)
    code = main(["init", "--yes"])

    assert code == 1
    assert "metadata, which names an empty MetaData, and seed" in capsys.readouterr().out
    assert contents(root) == before


def test_migrations_that_do_not_run_are_left_out(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    """The test is green from the models, and the reason is said."""
    revision = """
        revision, down_revision = "1", None

        def upgrade():
            raise RuntimeError("these were written for SQLite")
    """
    root = written(
        {
            **_PLAIN,
            "alembic.ini": "[alembic]\nscript_location = alembic\n",
            "alembic/env.py": """
                from alembic import context

                def run_migrations_online():
                    context.configure(connection=context.config.attributes["connection"])
                    with context.begin_transaction():
                        context.run_migrations()

                run_migrations_online()
            """,
            "alembic/versions/1_first.py": revision,
        }
    )
    code = main(["init", "--yes"])
    said = capsys.readouterr().out

    assert code == 0
    assert "With the migrations it was not green: SchemaNotBuilt" in said
    assert "The error: RuntimeError: these were written for SQLite" in said
    assert "schema" not in (root / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"pytest.ini": "[pytest]\npython_files = *_test.py\n"}, "first_test.py"),
        ({"setup.cfg": "[tool:pytest]\npython_files = check_*.py test_*.py\n"}, "test_first.py"),
        (
            {"pyproject.toml": '[tool.pytest.ini_options]\npython_files = ["tests_*.py"]\n'},
            "tests_first.py",
        ),
    ],
    ids=["ini", "cfg", "toml"],
)
def test_the_first_test_has_a_name_that_pytest_collects(
    written: Written, capsys: pytest.CaptureFixture[str], settings: Files, name: str
) -> None:
    """Or it would be green once, when it is named, and never run again."""
    plain = {each: text for each, text in _PLAIN.items() if each != "setup.cfg"}
    written({**plain, **settings})
    main(["init", "--json", "--dry-run"])
    found = json.loads(capsys.readouterr().out)

    assert f"tests/integration/{name}" in [each["path"] for each in found["files"]]


def test_the_application_is_the_one_that_has_the_models(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a repository of several, each with a database of its own."""
    factory = """
        from flask import Flask
        from {0}.models import db

        def create_app(settings=None):
            app = Flask("{0}")
            app.config.update(settings or {{}})
            db.init_app(app)
            return app
    """
    packages = ("shop", "stock")
    written(
        {f"{each}/__init__.py": factory.format(each) for each in packages}
        | {f"{each}/models.py": _FLASK_MODELS for each in packages}
    )
    main(["init", "--json", "--dry-run"])
    found = json.loads(capsys.readouterr().out)
    text = "".join(line["text"] for each in found["files"] for line in each["lines"])

    assert 'metadata = "stock.models:db"' in text
    assert "from stock import create_app" in text
    assert "shop" not in text


def test_the_first_test_goes_where_pytest_looks(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is no folder tests, `testpaths` says which one is."""
    plain = {each: text for each, text in _PLAIN.items() if not each.startswith("tests/")}
    ini = "[pytest]\ntestpaths = backen?/tests\n"
    written({**plain, "pytest.ini": ini, "backend/tests/test_one.py": "def test_one(): pass\n"})
    main(["init", "--json", "--dry-run"])
    found = json.loads(capsys.readouterr().out)

    assert "backend/tests/integration/test_first.py" in [each["path"] for each in found["files"]]
    assert not [each for each in found["notes"] if "testpaths" in each]


def test_a_first_test_where_pytest_does_not_look_is_told(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that names no folder would leave it out, and nobody would miss it."""
    written({**_PLAIN, "pytest.ini": "[pytest]\ntestpaths = tests/unit\n", "tests/unit/a.py": ""})
    main(["init", "--json", "--dry-run"])
    found = json.loads(capsys.readouterr().out)

    told = [each for each in found["notes"] if "testpaths" in each]

    assert len(told) == 1
    assert "(tests/unit) leave out tests/integration: add it there" in told[0]


_MIGRATED = {
    "shop/models.py": _FLASK_MODELS,
    "migrations/env.py": """
        from alembic import context
        from flask import current_app

        def run_migrations_online():
            assert current_app.name
            context.configure(connection=context.config.attributes["connection"])
            with context.begin_transaction():
                context.run_migrations()

        run_migrations_online()
    """,
    "migrations/versions/1_first.py": """
        from alembic import op

        revision, down_revision = "1", None

        def upgrade():
            op.execute('create table "user" (id serial primary key, name varchar(3) not null)')
    """,
}
_FACTORY = """
    import os

    from flask import Flask
    from shop.models import db

    def create_app(settings=None):
        app = Flask("shop")
        {line}
        app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
        app.config.update(settings or {{}})
        db.init_app(app)
        return app
"""


@pytest.mark.parametrize(
    ("line", "code"),
    [("os.environ['SHOP_SECRET']", 0), *by_night(("", 0))],
    ids=["with a variable", "at once"],
)
def test_a_factory_that_can_be_called_is_the_setting_app(
    written: Written, capsys: pytest.CaptureFixture[str], line: str, code: int
) -> None:
    """Its variables are given to it, and the tables come from the migrations."""
    root = written({**_MIGRATED, "shop/__init__.py": _FACTORY.format(line=line)})

    assert main(["init", "--yes"]) == code, capsys.readouterr().out
    assert 'app = "shop:create_app"' in (root / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("raise RuntimeError('no license')", "RuntimeError: no license (shop/__init__.py:8)"),
        ("os._exit(3)", "calling it ended the process"),
    ],
    ids=["fails", "exits"],
)
def test_a_factory_that_fails_is_told_and_not_written(
    written: Written, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    """The first test is green from the models, and the note says what to mend."""
    root = written({**_MIGRATED, "shop/__init__.py": _FACTORY.format(line=line)})
    main(["init", "--json", "--dry-run"])
    found = json.loads(capsys.readouterr().out)
    (lines,) = (each["lines"] for each in found["files"] if each["path"] == "pyproject.toml")
    notes = " ".join(found["notes"])

    assert "shop:create_app can't be called without arguments: " in notes
    assert said in notes
    assert "app = " not in str(lines)
    assert "schema = " not in str(lines)
    assert not (root / "pyproject.toml").exists()


_PYTEST_ENV = {
    # What pytest-env does, for projects whose environment has none.
    "site/pytest_env.py": """
        import os

        import pytest

        def pytest_addoption(parser):
            parser.addini("env", type="linelist", help="variables")

        @pytest.hookimpl(tryfirst=True)
        def pytest_load_initial_conftests(early_config):
            for line in early_config.getini("env"):
                name, _, value = line.partition("=")
                os.environ[name] = value
    """,
    "site/pytest_env-1.dist-info/METADATA": "Name: pytest-env\nVersion: 1\n",
    "site/pytest_env-1.dist-info/entry_points.txt": "[pytest11]\nenv = pytest_env\n",
}
_GIVEN = "[pytest]\nenv =\n    SHOP=1\n    DATABASE_URL={}\n"


def _with_pytest_env(
    written: Written, monkeypatch: pytest.MonkeyPatch, value: str, files: Files = _PLAIN
) -> Path:
    root = written({**files, **_PYTEST_ENV, "pytest.ini": _GIVEN.format(value)})
    monkeypatch.syspath_prepend(root / "site")
    monkeypatch.setenv(
        "PYTHONPATH", f"{root / 'site'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    )
    return root


def test_the_url_that_pytest_env_gives_is_the_applications(
    written: Written, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No conftest sets it anew, and nothing shows or copies its password."""
    url = "postgresql+psycopg2://shop:secret@127.0.0.1:1/given"
    root = _with_pytest_env(written, monkeypatch, url)
    code = main(["init", "--yes"])
    said = capsys.readouterr().out
    settings = (root / "pyproject.toml").read_text()

    assert code == 0, said
    assert "DATABASE_URL=postgresql+psycopg2://shop:***@127.0.0.1:1/given, pytest.ini:4" in said
    assert "what pytest-env gives the tests, pytest.ini:4" in said
    assert 'url = "postgresql+psycopg2://shop@127.0.0.1:1/given"' in settings
    assert "secret" not in said + settings
    assert not (root / "tests/integration/conftest.py").exists()


@pytest.mark.nightly
def test_an_engine_made_with_what_pytest_env_gives_is_seen(
    written: Written, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The project is imported with the variables that its tests have."""
    db = """
        import os
        from sqlalchemy import create_engine

        engine = create_engine(os.environ["DATABASE_URL"])
    """
    files = {**_FASTAPI, "backend/app/db.py": db}
    root = written(files) / "backend"
    url = "postgresql+psycopg2://127.0.0.1:1/given"
    given = {f"backend/{name}": text for name, text in _PYTEST_ENV.items()}
    _with_pytest_env(
        written, monkeypatch, url, {**files, **given, "backend/pytest.ini": _GIVEN.format(url)}
    )
    monkeypatch.chdir(root)
    code = main(["init", "--yes"])
    said = capsys.readouterr().out

    assert code == 0, said
    assert 'url = "app.db:engine.url"' in (root / "pyproject.toml").read_text()


@pytest.mark.nightly
def test_another_database_that_pytest_env_gives_collides(
    written: Written, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With file and line, and what the conftest does about it."""
    _with_pytest_env(written, monkeypatch, "sqlite:///shop.db")
    code = main(["init", "--yes"])
    said = capsys.readouterr().out

    assert code == 0, said
    assert (
        "pytest.ini:4: pytest-env gives the tests DATABASE_URL=sqlite:///shop.db, which is" in said
    )
    assert "conftest.py gives it another value" in said


def test_a_server_that_pytest_env_names_is_told(
    written: Written, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Since pgsandbox takes it for the one to use."""
    value = "1\n    TEST_DATABASE_URL=postgresql+psycopg2://u:secret@h/x"
    _with_pytest_env(written, monkeypatch, value)
    main(["init", "--dry-run"])
    said = capsys.readouterr().out

    assert "pytest.ini:5 gives the tests TEST_DATABASE_URL=postgresql+psycopg2://u:***@h/x" in said
    assert "takes it for the server to use" in said


def test_lines_for_a_pytest_env_that_is_not_there_are_told(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tests do not have what they say."""
    written({**_PLAIN, "pytest.ini": _GIVEN.format("sqlite://")})
    main(["init", "--json", "--dry-run"])
    found = json.loads(capsys.readouterr().out)

    assert found["colliding"] == []
    assert "pytest.ini:3 gives the tests variables by pytest-env, which is" in found["notes"][0]


def test_a_fixture_that_is_hidden_from_the_first_test_is_brought_back(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    """A conftest of the root acts on every folder, so that none can be chosen to avoid it."""
    hides = """
        import pytest

        @pytest.fixture
        def db_session():
            raise RuntimeError("the suite's own")
    """
    root = written({**_PLAIN, "conftest.py": hides})
    code = main(["init", "--yes"])
    said = capsys.readouterr().out

    assert code == 0, said
    assert "conftest.py:4 hides it" in said
    conftest = (root / "tests/integration/conftest.py").read_text()
    assert "from pgsandbox.plugin.fixtures import db_session  # noqa: E402, F401\n" in conftest


def test_the_client_runs_the_lifespan_where_there_is_one(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an application sets up when it starts is there for the first request."""
    main_py = _FASTAPI["backend/app/main.py"].replace("FastAPI()", "FastAPI(lifespan=None)")
    written({**_FASTAPI, "backend/app/main.py": main_py})
    main(["init", "--dry-run"])
    with_lifespan = capsys.readouterr().out
    written(_FASTAPI)
    main(["init", "--dry-run"])
    without = capsys.readouterr().out

    assert "with TestClient(app) as client:" in with_lifespan
    assert "return TestClient(app)" in without


def test_the_tutorial_shows_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the project of the Flask tutorial, before it has any test."""
    shutil.copytree(EXAMPLES / "flask" / "myapp", tmp_path / "myapp" / "myapp")
    monkeypatch.chdir(tmp_path / "myapp")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    code = main(["init", "--yes"])
    said = capsys.readouterr().out.replace(str(tmp_path), "/home/ada")
    said = re.sub(r"in \d+\.\d seconds", "in N seconds", said)
    said = re.sub(r"^(  drivers +).*$", r"\1psycopg2", said, flags=re.MULTILINE)

    assert code == 0
    assert said == recorded("output/init", said)
