"""What maps tables, read from the sources."""

import pytest

from pgsandbox.cli.init.models import Sources, metadata_references

DECLARATIVE = (
    "from sqlalchemy.orm import DeclarativeBase\n\nclass Base(DeclarativeBase):\n    pass\n"
)
USER = "class A({0}):\n  __tablename__ = 'a'\n"


@pytest.mark.parametrize(
    ("files", "kind", "references"),
    [
        (
            {
                "shop/base.py": DECLARATIVE,
                "shop/models.py": "from shop.base import Base\n" + USER.format("Base"),
            },
            "declarative base",
            ["shop.models:Base"],
        ),
        (
            {
                "shop/__init__.py": "from flask_sqlalchemy import SQLAlchemy\ndb = SQLAlchemy()\n"
                "from shop import models\n",
                "shop/models.py": "from shop import db\nclass A(db.Model):\n  id = db.Column()\n",
            },
            "SQLAlchemy",
            ["shop.models:db"],
        ),
        (
            {
                "models.py": "from sqlmodel import SQLModel\n"
                "class A(SQLModel, table=True):\n  id: int\n"
            },
            "SQLModel",
            ["models:SQLModel"],
        ),
        (
            {"orm.py": "import sqlalchemy as sa\nmeta = sa.MetaData()\na = sa.Table('a', meta)\n"},
            "MetaData",
            ["orm:meta"],
        ),
        (
            {
                "base.py": "from sqlalchemy.orm import declarative_base\n"
                "Base = declarative_base()\n"
                "class Dated(Base):\n  __abstract__ = True\n",
                "a.py": "from base import Dated\n" + USER.format("Dated"),
            },
            "declarative_base",
            ["a:Dated"],
        ),
        (
            {
                "models.py": "from alchemical import Model\n" + USER.format("Model"),
            },
            "Model",
            ["models:Model"],
        ),
    ],
    ids=["declarative", "flask", "sqlmodel", "tables", "mixin", "alchemical"],
)
def test_what_owns_the_tables_is_found(written, files, kind, references):
    """With a name by which importing it registers them."""
    root = written(files)
    owner, found, _ = metadata_references(Sources(root, root))

    assert owner.kind == kind
    assert found == references


def test_bases_of_another_package_own_the_tables_where_nothing_else_does(written):
    """Whatever module of the package they come from, since a package has one MetaData."""
    root = written(
        {
            "users.py": "from company.bases import DatedBase\n" + USER.format("DatedBase"),
            "tasks.py": "import users\n"
            "from company import bases\n"
            "class Own(bases.Base):\n  __abstract__ = True\n"
            "class B(Own):\n  __tablename__ = 'b'\n",
        }
    )
    owner, found, modules = metadata_references(Sources(root, root))

    assert owner.kind == "bases of company"
    assert found == ["tasks:Own"]
    assert modules == ["tasks", "users"]


def test_a_class_of_another_package_is_a_mixin_beside_a_base_of_the_projects(written):
    """As those of fastapi-users are."""
    root = written(
        {
            "base.py": DECLARATIVE,
            "users.py": "from base import Base\nfrom fastapi_users_db_sqlalchemy import Table\n"
            + USER.format("Table, Base"),
        }
    )
    owner, found, _ = metadata_references(Sources(root, root))

    assert owner.kind == "declarative base"
    assert found == ["users:Base"]


def test_a_name_that_type_checkers_alone_see_is_not_named(written):
    """Importing the module does not bind it."""
    root = written(
        {
            "tags.py": "from typing import TYPE_CHECKING\nimport base\nimport teams\n"
            "if TYPE_CHECKING:\n  from teams import Team\n"
            "class Tag(base.Base):\n  __tablename__ = 'tags'\n",
            "base.py": DECLARATIVE,
            "teams.py": "import base\nclass Team(base.Base):\n  __tablename__ = 'teams'\n",
        }
    )
    _, found, _ = metadata_references(Sources(root, root))

    assert found == ["tags:Tag"]


def test_models_in_many_modules_are_named_together(written):
    """One module that imports them all would do; where there is none, each is named."""
    models = "from base import Base\nclass {0}(Base):\n  __tablename__ = '{0}'\n"
    root = written(
        {
            "base.py": DECLARATIVE,
            "users.py": models.format("User"),
            "tasks.py": models.format("Task"),
        }
    )
    _, apart, modules = metadata_references(Sources(root, root))

    assert apart == ["tasks:Base", "users:Base"]
    assert modules == ["tasks", "users"]


def test_one_module_that_imports_them_is_enough(written):
    """Also by way of a package, and not where a function imports."""
    models = "from base import Base\nclass {0}(Base):\n  __tablename__ = '{0}'\n"
    root = written(
        {
            "base.py": DECLARATIVE,
            "models/__init__.py": "from models import users\n",
            "models/users.py": models.format("User"),
            "models/tasks.py": "def later():\n  import models.more\n" + models.format("Task"),
            "models/more.py": models.format("More"),
        }
    )
    _, found, _ = metadata_references(Sources(root, root))

    assert found == ["models.more:Base", "models.tasks:Base"]
