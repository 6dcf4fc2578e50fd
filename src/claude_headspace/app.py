"""The Flask application, put together."""

from __future__ import annotations

from pathlib import Path

from flask import Flask
from sqlalchemy.engine import make_url
from werkzeug.routing import IntegerConverter, Map

from claude_headspace import models  # noqa: F401  (importing it registers the tables)
from claude_headspace.commands import register_commands
from claude_headspace.config import load_settings
from claude_headspace.database import db, migrate
from claude_headspace.domain.validation import LARGEST_ID
from claude_headspace.logs import configure_logging, masked
from claude_headspace.services.event_writer import EventWriter
from claude_headspace.web import register_web
from claude_headspace.web.events import EVENT_WRITER


class IdConverter(IntegerConverter):
    """A row's id in a URL: a number that can't be one is 404, and never reaches the database."""

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, min=1, max=LARGEST_ID)


def create_app(config_path: str | Path | None = None, **overrides: object) -> Flask:
    """Return the application, configured from *config_path* and the environment.

    *overrides* are Flask configuration values, such as ``SQLALCHEMY_DATABASE_URI``, ``TESTING`` or
    ``LOG_LEVEL``; they win over everything else. No connection is made before the first query.

    :raises ConfigurationError: if file or environment say something unusable.
    """
    app = Flask("claude_headspace")
    settings = load_settings(config_path)
    app.config.from_mapping(
        SQLALCHEMY_DATABASE_URI=settings.url.render_as_string(hide_password=False),
        SQLALCHEMY_ENGINE_OPTIONS=settings.engine_options(),
        LOG_LEVEL="INFO",
    )
    app.config.from_mapping(overrides)
    configure_logging(app.config["LOG_LEVEL"])
    app.url_map.converters["id"] = IdConverter
    db.init_app(app)
    migrate.init_app(app)
    url = make_url(app.config["SQLALCHEMY_DATABASE_URI"])
    app.extensions[EVENT_WRITER] = EventWriter(url)
    register_web(app)
    register_commands(app)
    app.logger.debug("the database is %s", masked(url))
    return app
