"""What the settings refer to: URLs, drivers, metadata, the seed, the project's name."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, Table
from sqlalchemy.engine import URL
from sqlalchemy.exc import NoSuchModuleError

from pgsandbox import config, guard, schema
from pgsandbox.config import Settings
from pgsandbox.config.settings import shown
from pgsandbox.errors import ConfigurationError, Fact
from pgsandbox.sandbox.driver_connections import SUPPORTED
from pgsandbox.sandbox.driver_hooks import target_of_url as target_of
from pgsandbox.sandbox.judging import Judge
from pgsandbox.sandbox.running_test import RunningTest
from pgsandbox.wiring.urls import checked, parsed, url_of

__all__ = [
    "addresses_of",
    "driver_of",
    "judge_of",
    "metadata_of",
    "place_of",
    "project_name",
    "resolved_url",
    "seed_of",
    "url_of",
]


def judge_of(settings: Settings, test: RunningTest) -> Judge:
    """Return a judge that lets pass what `allow` names, and says so in refusals."""
    urls = [parsed(each, "allow", settings.source_of("allow")) for each in settings.allow]
    others = [each for each in urls if not each.get_backend_name().startswith("postgres")]
    return Judge(
        test,
        allowed=tuple(target_of(checked(each, "allow")) for each in urls if each not in others),
        files=tuple(others),
        allows_memory=settings.allow_memory_sqlite,
        settings=tuple(
            Fact(name, shown(settings.values[key].value, settings.root), settings.source_of(key))
            for name, key in _DECIDE.items()
        ),
    )


_DECIDE = {"paths": "paths", "application": "url", "redirect": "redirect", "allow": "allow"}
"""The settings that decide whether a connection is refused, by what a refusal calls them."""


def resolved_url(text: str, key: str, settings: Settings) -> URL:
    """Return the URL that the setting *key* is, or that what it refers to is or returns."""
    source = settings.source_of(key.split(".", maxsplit=1)[0])
    if "://" in text:
        return url_of(text, key, source)
    found = config.resolve(text)
    reference = Fact(key, text, source)
    needed = _needed_arguments(found)
    if needed:
        raise ConfigurationError(
            f"{key} refers to {text}, which can't be called without {', '.join(needed)}.",
            facts=[reference, Fact("needs", ", ".join(needed))],
            remedy="Name a callable without arguments, or a constant: a function of two lines that "
            "calls this one with the settings of the application, say.",
        )
    with config.failures_told(
        f"{key} refers to {text}, and calling it failed.",
        reference,
        remedy="It is called without arguments, before any test and outside of any application "
        "context; let it return a string or a SQLAlchemy URL, in which an @ of the password is "
        "written as %40.",
    ):
        value = found() if callable(found) else found
    if isinstance(value, URL):
        return checked(value, key, text)
    if isinstance(value, str):
        return url_of(value, key, text)
    raise ConfigurationError(
        f"{key} refers to {text}, which is not a URL and returns none.",
        facts=[reference],
        remedy="Let it be, or return, a string or a SQLAlchemy URL.",
    )


def _needed_arguments(found: Any) -> list[str]:
    """The names of what *found* can't be called without."""
    if not callable(found):
        return []
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):  # written in C, and says nothing of it
        return []
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    empty = inspect.Parameter.empty
    return [each.name for each in parameters if each.default is empty and each.kind not in optional]


def driver_of(url: URL) -> str:
    """Return the driver of the application's *url*, which the test database's URL names, too."""
    asked = Fact("url", guard.masked(url.render_as_string()))
    try:
        dialect = url.get_dialect()
        driver: str = dialect.driver
        if driver in SUPPORTED:
            dialect.import_dbapi()
            if dialect.is_async:
                importlib.import_module("greenlet")  # by which SQLAlchemy makes it synchronous
            return driver
    except (ImportError, NoSuchModuleError) as error:
        install = 'Install it (pip install "pgsandbox[async]" has psycopg, asyncpg and greenlet)'
        raise ConfigurationError(
            "The driver that the application's URL asks for can't be imported.",
            facts=[asked, Fact("error", guard.masked(f"{type(error).__name__}: {error}"))],
            remedy=f"{install}, or name another one in the URL: postgresql:// alone is psycopg2 "
            "with SQLAlchemy 2.0, and psycopg from 2.1 on.",
        ) from error
    raise ConfigurationError(
        f"The application's URL asks for the driver {driver}, whose connections the sandbox can't "
        "hold.",
        facts=[asked, Fact("drivers", ", ".join(SUPPORTED))],
        remedy="Name one of these in the setting url, as in postgresql+psycopg://.",
    )


def metadata_of(reference: str, bind: str | None) -> Sequence[MetaData]:
    """Return the MetaData that *reference* names, itself or by its attribute ``metadata``.

    For a bind, Flask-SQLAlchemy's extension object has one for each in ``metadatas``.
    """
    found: Any = config.resolve(reference)
    with config.failures_told(
        f"metadata refers to {reference}, and reading its metadata failed.",
        Fact("type", type(found).__name__),
        remedy="Name the MetaData itself, or something whose attribute `metadata` can be read "
        "before any test and outside of any application context.",
    ):
        by_bind = getattr(found, "metadatas", None)
        if bind is not None and isinstance(by_bind, dict) and bind in by_bind:
            found = by_bind[bind]
        metadata = found if isinstance(found, MetaData) else getattr(found, "metadata", None)
    if not isinstance(metadata, MetaData):
        raise ConfigurationError(
            f"metadata refers to {reference}, which is no MetaData and has none.",
            facts=[Fact("type", type(found).__name__)],
            remedy="Name a MetaData, a declarative base or a model, or a Flask-SQLAlchemy object.",
        )
    return [metadata]


def seed_of(settings: Settings) -> schema.Seed | None:
    """Return the callable that the setting ``seed`` refers to."""
    if settings.seed is None:
        return None
    found = config.resolve(settings.seed)
    if not callable(found):
        raise ConfigurationError(
            f"seed refers to {settings.seed}, which can't be called.",
            facts=[Fact("type", type(found).__name__, settings.source_of("seed"))],
            remedy="Name a callable that takes a Session.",
        )
    return found


def project_name(root: Path) -> str:
    """Return the project's name from its pyproject.toml, or else from its directory."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        document = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
        name = str(document["project"]["name"])
        return re.sub(r"\W+", "_", name).strip("_").lower()
    return re.sub(r"\W+", "_", root.name).strip("_").lower()


def addresses_of(url: URL) -> tuple[object, ...]:
    """Return how Python's sockets name the server of *url*."""
    host = str(url.host or url.query.get("host") or "")
    port = guard.DEFAULT_PORT if url.port is None else url.port
    numbered = ("127.0.0.1", "::1") if host == "localhost" else (host,)
    return (*((each, port) for each in (*numbered, host)), f"{host}/.s.PGSQL.{port}")


def place_of(url: URL) -> str:
    """Return the host and port of *url* as people write them."""
    host = url.host or url.query.get("host") or "the default socket"
    return guard.masked_place(host if url.port is None else f"{host}:{url.port}")


def require_tables(settings: Settings, builder: schema.Builder) -> None:
    """Return unless there is nothing to build, where that can only be a mistake.

    Raises:
        ConfigurationError: the metadata holds no table.
    """
    if not isinstance(builder, schema.MetadataBuilder) or settings.binds or builder.seed:
        return
    if settings.metadata and not any(each.tables for each in builder.metadata):
        source = settings.source_of("metadata")
        raise ConfigurationError(
            "The metadata holds no table, so the test database would be empty.",
            facts=[Fact("metadata", each, source) for each in settings.metadata],
            remedy="A model registers its table when its module is imported. Name the module that "
            'imports them all: metadata = "shop.models:Base", where shop/models/__init__.py '
            "imports each module of models; or name the application in the setting app, if its "
            "factory imports them. Where the tests or SQL make the tables, name in the "
            "setting seed a callable that takes a Session and makes what they begin with, or "
            "nothing.",
        )


def require_one_meaning(settings: Settings, builder: schema.Builder) -> None:
    """Return unless a table that one metadata makes lacks columns of another's of that name.

    Raises:
        ConfigurationError: it does; the second would be left out, and its models would fail.
    """
    if not isinstance(builder, schema.MetadataBuilder):
        return
    made: dict[str, Table] = {}
    lacking = []
    for table in (table for each in builder.metadata for table in each.tables.values()):
        first = made.setdefault(table.key, table)
        columns = [each.name for each in table.columns if each.name not in first.columns]
        if columns:
            lacking.append(Fact(f"table {table.key}", f"one has no column {', '.join(columns)}"))
    if lacking:
        source = settings.source_of("metadata")
        raise ConfigurationError(
            "The metadata has two tables of one name, and a database has room for one.",
            facts=[*(Fact("metadata", each, source) for each in settings.metadata), *lacking],
            remedy="The first is made, and models of the second would miss columns. Where the "
            "application has them in two databases, give the second a table below "
            "[tool.pgsandbox.binds] with its metadata; where they are of two programs, name one.",
        )
