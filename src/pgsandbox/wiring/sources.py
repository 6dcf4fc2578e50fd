"""What the settings refer to: URLs, drivers, metadata, the seed, the project's name."""

from __future__ import annotations

import contextlib
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from pgsandbox import config, guard, schema
from pgsandbox.config import Settings
from pgsandbox.config.settings import shown
from pgsandbox.errors import ConfigurationError, Fact, PgSandboxError
from pgsandbox.sandbox.driver_connections import SUPPORTED
from pgsandbox.sandbox.driver_hooks import target_of_url as target_of
from pgsandbox.sandbox.interceptor import ConnectionInterceptor


def interceptor_of(settings: Settings) -> ConnectionInterceptor:
    """Return an interceptor that lets through what the setting `allow` names, and says so in refusals."""
    urls = [_parsed(each, "allow") for each in settings.allow]
    others = [each for each in urls if not each.get_backend_name().startswith("postgres")]
    interceptor = ConnectionInterceptor(
        allowed=tuple(target_of(_postgresql(each, "allow")) for each in urls if each not in others),
        files=tuple(others),
    )
    interceptor.settings = tuple(
        Fact(name, shown(settings.values[key].value, settings.root), settings.source_of(key))
        for name, key in _DECIDE.items()
    )
    return interceptor


_DECIDE = {"paths": "paths", "application": "url", "redirect": "redirect", "allow": "allow"}
"""The settings that decide whether a connection is refused, by what a refusal calls them."""


def url_of(text: str, source: str) -> URL:
    """Return the URL that *text* is; *source* names the setting in messages."""
    return _postgresql(_parsed(text, source), source)


def _parsed(text: str, source: str) -> URL:
    try:
        return make_url(text)
    except ArgumentError:
        raise ConfigurationError(
            f"{source} is not a database URL.",
            facts=[Fact("value", guard.masked(text), source)],
            remedy="Write it as postgresql+psycopg2://user:password@host:port/name.",
        ) from None


def _postgresql(url: URL, source: str) -> URL:
    backend = url.get_backend_name()
    if backend == "postgres":  # as hosting platforms write it; SQLAlchemy 1.4 gave it up
        return url.set(drivername=url.drivername.replace("postgres", "postgresql", 1))
    if backend != "postgresql":
        raise ConfigurationError(
            f"{source} names a database of {backend}, and pgsandbox needs PostgreSQL.",
            facts=[Fact("value", guard.masked(url.render_as_string()), source)],
            remedy="Write it as postgresql+psycopg2://user:password@host:port/name.",
        )
    return url


def resolved_url(text: str, key: str, settings: Settings) -> URL:
    """Return the URL that the setting *key* is, or that what it refers to is or returns."""
    if "://" in text:
        return url_of(text, key)
    found = config.resolve(text)
    reference = Fact(key, text, settings.source_of(key.split(".", maxsplit=1)[0]))
    try:
        value = found() if callable(found) else found
    except PgSandboxError:
        raise
    except Exception as error:
        said = guard.masked(f"{type(error).__name__}: {error}")
        raise ConfigurationError(
            f"{key} refers to {text}, and calling it failed.",
            facts=[reference, Fact("error", said)],
            remedy="It is called without arguments, before any test and outside of any application "
            "context; let it return a string or a SQLAlchemy URL.",
        ) from error
    if isinstance(value, URL):
        return _postgresql(value, key)
    if isinstance(value, str):
        return url_of(value, key)
    raise ConfigurationError(
        f"{key} refers to {text}, which is not a URL and returns none.",
        facts=[reference],
        remedy="Let it be, or return, a string or a SQLAlchemy URL.",
    )


def driver_of(url: URL) -> str:
    """Return the driver of the application's *url*, which the test database's URL names, too."""
    shown = Fact("url", guard.masked(url.render_as_string()))
    try:
        dialect = url.get_dialect()
        driver: str = dialect.driver
        if driver in SUPPORTED:
            dialect.import_dbapi()
            return driver
    except (ImportError, NoSuchModuleError) as error:
        raise ConfigurationError(
            "The driver that the application's URL asks for can't be imported.",
            facts=[shown, Fact("error", f"{type(error).__name__}: {error}")],
            remedy="Install it, or name another one in the URL: postgresql:// alone is psycopg2 "
            "with SQLAlchemy 2.0, and psycopg from 2.1 on.",
        ) from error
    raise ConfigurationError(
        f"The application's URL asks for the driver {driver}, whose connections the sandbox can't "
        "hold.",
        facts=[shown, Fact("drivers", ", ".join(SUPPORTED))],
        remedy="Name one of these in the setting url, as in postgresql+psycopg://.",
    )


def metadata_of(reference: str, bind: str | None) -> Sequence[MetaData]:
    """Return the MetaData that *reference* names, itself or by its attribute ``metadata``.

    For a bind, Flask-SQLAlchemy's extension object has one for each in ``metadatas``.
    """
    found: Any = config.resolve(reference)
    by_bind = getattr(found, "metadatas", None)
    if bind is not None and isinstance(by_bind, dict) and bind in by_bind:
        found = by_bind[bind]
    metadata = found if isinstance(found, MetaData) else getattr(found, "metadata", None)
    if not isinstance(metadata, MetaData):
        raise ConfigurationError(
            f"metadata refers to {reference}, which is no MetaData and has none.",
            facts=[Fact("type", type(found).__name__)],
            remedy="Name a MetaData, a declarative base, or a Flask-SQLAlchemy object.",
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
    port = url.port or guard.DEFAULT_PORT
    numbered = ("127.0.0.1", "::1") if host == "localhost" else (host,)
    return (*((each, port) for each in (*numbered, host)), f"{host}/.s.PGSQL.{port}")


def place_of(url: URL) -> str:
    """Return the host and port of *url* as people write them."""
    host = url.host or url.query.get("host") or "the default socket"
    return f"{host}:{url.port}" if url.port else str(host)
