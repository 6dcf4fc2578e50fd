"""Applications, factories, and how these learn of their database."""

import pytest

from pgsandbox.cli.init.applications import applications, variables
from pgsandbox.cli.init.models import Sources

FLASK = "from flask import Flask\n"


UPDATE = """
def create_app(c=None):
    app = Flask("x")
    app.config.update(c)
    return app
"""
FROM_MAPPING = """
def create_app(c):
    app = Flask("x")
    app.config.from_mapping(**c)
    return app
"""
UPDATE_OR_NOTHING = """
def create_app(c=None):
    app = Flask("x")
    app.config.update(c or {})
    return app
"""
KEYWORDS = """
def create_app(**c):
    app = Flask("x")
    app.config.update(c)
    return app
"""
OBJECT = """
class Config:
    pass

def create_app(c=Config):
    app = Flask("x")
    app.config.from_object(c)
    return app
"""
NAME = """
config = {"testing": object}

def create_app(name):
    app = Flask("x")
    app.config.from_object(config[name])
    return app
"""
MODULE = """
import settings

def create_app(c=settings):
    app = Flask("x")
    app.config.from_object(c)
    return app
"""
HELD = """
def create_app():
    app = Flask("x")
    app.config.from_object("settings")
    return app
"""
NOTHING = """
def create_app():
    return Flask("x")
"""


@pytest.mark.parametrize(
    ("text", "takes", "parameter", "configuration"),
    [
        (UPDATE, "mapping", "c", ""),
        (UPDATE_OR_NOTHING, "mapping", "c", ""),
        (FROM_MAPPING, "mapping", "c", ""),
        (KEYWORDS, "keywords", "c", ""),
        (OBJECT, "object", "c", "shop:Config"),
        (NAME, "name", "name", "shop:config"),
        (MODULE, "held", "", "settings"),
        (HELD, "held", "", "settings"),
        (NOTHING, "", "", ""),
    ],
    ids=[
        "update",
        "update or nothing",
        "from_mapping",
        "keywords",
        "object",
        "name",
        "module",
        "held",
        "nothing",
    ],
)
def test_how_a_factory_is_configured_is_seen(written, text, takes, parameter, configuration):
    """By the parameter that reaches the configuration."""
    root = written({"shop.py": FLASK + text, "settings.py": "DEBUG = True\n"})
    (found,) = applications(Sources(root, root))

    assert found.reference == "shop:create_app"
    assert found.is_factory
    assert (found.takes, found.parameter, found.configuration) == (takes, parameter, configuration)


@pytest.mark.parametrize(
    ("files", "first", "framework"),
    [
        ({"main.py": "from fastapi import FastAPI\napp = FastAPI()\n"}, "main:app", "fastapi"),
        (
            {
                "server.py": "from fastapi import FastAPI\ndef create_app():\n  app = FastAPI()\n"
                "  return app\napp = create_app()\n"
            },
            "server:app",
            "fastapi",
        ),
        (
            {
                "shop/__init__.py": FLASK + "def create_app():\n  return Flask('x')\n",
                "wsgi.py": "from shop import create_app\napp = create_app()\n",
            },
            "shop:create_app",
            "flask",
        ),
        ({"app.py": FLASK + "app = Flask(__name__)\n"}, "app:app", "flask"),
    ],
    ids=["fastapi", "fastapi factory", "flask factory", "flask object"],
)
def test_the_likeliest_application_is_first(written, files, first, framework):
    """Of Flask a factory, which takes a URL; of FastAPI the object."""
    root = written(files)
    found = applications(Sources(root, root))[0]

    assert (found.reference, found.framework) == (first, framework)


def test_variables_with_the_url_are_found(written):
    """However they are read; not those of other things."""
    root = written(
        {
            "a.py": "import os\na = os.environ['DATABASE_URL']\nb = os.getenv('SHOP_DB_URI')\n",
            "b.py": "import os\nc = os.environ.get('REDIS_URL')\n",
            "c.py": "import os\nd = os.environ.get('DB_URL', '')\n",
        }
    )

    assert [each.name for each in variables(Sources(root, root))] == [
        "DATABASE_URL",
        "SHOP_DB_URI",
        "DB_URL",
    ]
