"""Where a project begins, in repositories of several shapes."""

import pytest

from pgsandbox.cli.init.places import files_below, module_of, root_of, start_of
from pgsandbox.errors import ConfigurationError

MODELS = "import sqlalchemy\n__tablename__ = 'users'\n"


@pytest.mark.parametrize(
    ("files", "root", "start"),
    [
        ({"pyproject.toml": "", "shop/models.py": MODELS}, ".", "."),
        (
            {"pyproject.toml": "", "src/shop/__init__.py": "", "src/shop/models.py": MODELS},
            ".",
            "src",
        ),
        (
            {
                "pyproject.toml": "",
                "frontend/package.json": "",
                "backend/pyproject.toml": "",
                "backend/app/models.py": MODELS,
            },
            "backend",
            "backend",
        ),
        ({"project/requirements.txt": "", "project/app/models.py": MODELS}, "project", "project"),
        (
            {
                "requirements.txt": "",
                "src/setup.py": "",
                "src/shop/orm.py": MODELS,
                "tests/test_orm.py": "from shop.orm import metadata\n",
            },
            ".",
            "src",
        ),
        (
            {
                "pyproject.toml": "",
                "src/__init__.py": "",
                "src/app/models.py": MODELS,
                "tests/test_app.py": "from src.app.models import User\n",
            },
            ".",
            ".",
        ),
        (
            {
                "pyproject.toml": "",
                "app/__init__.py": "",
                "app/pytest.ini": "",
                "app/models.py": MODELS,
                "app/main.py": "from app.models import User\n",
            },
            ".",
            ".",
        ),
    ],
    ids=["flat", "src", "monorepo", "subfolder", "setup in src", "src is a package", "ini inside"],
)
def test_the_root_and_the_start_are_found(written, files, root, start):
    """The directory for pyproject.toml, and the folder that imports begin in."""
    folder = written(files)
    found = root_of(folder)

    assert found == folder / root
    assert start_of(found, list(files_below(found))) == folder / start


def test_two_projects_are_not_guessed_between(written):
    """Whoever stands above several is asked which one is meant."""
    folder = written(
        {
            "one/pyproject.toml": "",
            "one/models.py": MODELS,
            "two/pyproject.toml": "",
            "two/models.py": MODELS,
        }
    )

    with pytest.raises(ConfigurationError, match="There are several projects here"):
        root_of(folder)


def test_environments_are_not_read(written):
    """Nor what a build or a package manager left."""
    folder = written(
        {
            "app.py": "",
            "myenv/pyvenv.cfg": "",
            "myenv/lib/models.py": MODELS,
            "node_modules/x.py": "",
            ".cache/y.py": "",
        }
    )

    assert [file.name for file in files_below(folder)] == ["app.py"]


@pytest.mark.parametrize(
    ("file", "name"),
    [("shop/models.py", "shop.models"), ("shop/__init__.py", "shop"), ("shop/a-b.py", None)],
)
def test_a_file_has_the_name_that_imports_it(tmp_path, file, name):
    """None where no import can."""
    assert module_of(tmp_path / file, tmp_path) == name
