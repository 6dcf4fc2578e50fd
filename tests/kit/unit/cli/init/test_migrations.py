"""Alembic environments, and what the setting says of them."""

import pytest

from pgsandbox.cli.init.migrations import environments

ENV = "from alembic import context\ndef run_migrations_online():\n    pass\n"
REVISION = 'revision = "1"\n'


@pytest.mark.parametrize(
    ("files", "setting"),
    [
        (
            {"alembic.ini": "[alembic]\nscript_location = alembic\n", "alembic/env.py": ENV},
            "alembic.ini",
        ),
        (
            {"alembic.ini": "[alembic]\nscript_location = %(here)s/db\n", "db/env.py": ENV},
            "alembic.ini",
        ),
        (
            {"alembic.ini": "[billing]\nscript_location = billing\n", "billing/env.py": ENV},
            "alembic.ini:billing",
        ),
        (
            {
                "migrations/alembic.ini": "[alembic]\n",
                "migrations/env.py": f"{ENV}from flask import current_app\n",
            },
            "migrations",
        ),
        (
            {
                "conf/alembic.ini": "[alembic]\nscript_location = shop/migrations\n",
                "shop/migrations/env.py": ENV,
            },
            "conf/alembic.ini",
        ),
    ],
    ids=["ini", "here", "section", "flask-migrate", "conf"],
)
def test_an_environment_is_named_as_the_setting_wants_it(written, files, setting):
    """The ini file, its section, or the directory of Flask-Migrate."""
    folder = next(name for name in files if name.endswith("env.py")).removesuffix("env.py")
    root = written({**files, f"{folder}versions/1_first.py": REVISION})
    (found,) = environments(root)

    assert found.setting == setting
    assert found.revisions == 1
    assert found.needs_application == (setting == "migrations")
