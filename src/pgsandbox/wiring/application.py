"""The application whose context is pushed where its schema is built.

Nothing here imports Flask: an application is what has ``app_context()``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

from sqlalchemy.engine import URL

from pgsandbox import config, schema
from pgsandbox.config import Settings
from pgsandbox.errors import ConfigurationError, Fact


class Application(Protocol):
    """What an environment of Flask-Migrate needs to be there: a Flask application."""

    def app_context(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which ``current_app`` is this application."""


def application_of(settings: Settings) -> Application | None:
    """Return the application that the setting ``app`` names, made by its factory if it is one.

    What the factory configures of logging is undone, and what it warns of is not said: it runs
    where no test asked for it.
    """
    if settings.app is None:
        return None
    found: Any = config.resolve(settings.app)
    reference = Fact("app", settings.app, settings.source_of("app"))
    if not _is_application(found) and callable(found):
        told = config.failures_told(
            f"app refers to {settings.app}, and calling it failed.",
            reference,
            remedy="It is called without arguments, before any test; let it return the "
            "application.",
        )
        with told, schema.logging_kept(), schema.quiet_warnings():
            found = found()
    return checked(found, reference)


def make_app(make: Callable[[], Application | None], builder: schema.Builder, url: URL) -> None:
    """Call *make* before the schema is built at *url*, since it may be what imports the models.

    A factory that asks for tables which are not there yet is called again when they are.

    Raises:
        ConfigurationError: it fails all the same.
    """
    try:
        make()
    except ConfigurationError:
        if not isinstance(builder, schema.MetadataBuilder):
            raise
        builder.build(url)
        make()


def checked(found: Any, source: Fact) -> Application:
    """Return *found* if it is an application; *source* says where it is from.

    Raises:
        ConfigurationError: it has no ``app_context()``.
    """
    if _is_application(found):
        return found  # type: ignore[no-any-return]  # what is asked for has just been looked at
    raise ConfigurationError(
        f"{source.name} gives no application: what is there has no app_context().",
        facts=[source, Fact("type", type(found).__name__)],
        remedy="Name a Flask application, or a callable without arguments that returns one. "
        "Applications without a context need none: leave it out.",
    )


def context_of(application: Application | None) -> contextlib.AbstractContextManager[Any]:
    """Return the context of *application*, or one that does nothing if there is none."""
    return contextlib.nullcontext() if application is None else application.app_context()


def _is_application(found: Any) -> bool:
    return not isinstance(found, type) and callable(getattr(found, "app_context", None))
