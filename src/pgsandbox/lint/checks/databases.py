"""Whether a name stands for a session, an engine, a query or a repository of the application."""

from __future__ import annotations

import ast
import re

from pgsandbox.lint.application_sources import Definition
from pgsandbox.lint.checks import production
from pgsandbox.lint.context import (
    ENGINE_MAKERS,
    SCOPED,
    SESSION_MAKERS,
    SESSIONS,
    Context,
    is_from_sqlalchemy,
    uses_sqlalchemy,
)
from pgsandbox.lint.names import spelt

SESSION_METHODS = {
    "add_all",
    "begin",
    "begin_nested",
    "commit",
    "execute",
    "expunge",
    "flush",
    "query",
    "refresh",
    "rollback",
    "scalar",
    "scalars",
}
"""What a session of SQLAlchemy has and an HTTP session has not."""

_CLASSES = {
    "AsyncConnection": "a connection",
    "AsyncEngine": "an engine",
    "AsyncSession": "a session",
    "Connection": "a connection",
    "Engine": "an engine",
    "Query": "a query",
    "SQLAlchemy": "Flask-SQLAlchemy",
    "Session": "a session",
    **dict.fromkeys(ENGINE_MAKERS, "an engine"),
    **dict.fromkeys(SESSION_MAKERS, "a session maker"),
    **dict.fromkeys(SCOPED, "a scoped session"),
}
_OF_FLASK_SQLALCHEMY = {
    "engine": "an engine",
    "engines": "an engine",
    "session": "a session",
}
_UNMISTAKABLE = {
    "AsyncSession": "a session",
    "AsyncSessionLocal": "a session maker",
    "SessionLocal": "a session maker",
    "async_session_maker": "a session maker",
    "async_sessionmaker": "a session maker",
    "create_async_engine": "an engine",
    "create_engine": "an engine",
    "db_session": "a session",
    "get_db": "a session",
    "get_db_session": "a session",
    "sessionmaker": "a session maker",
}
_REPOSITORY = re.compile(r"[A-Z]\w*(Repository|Repositories|DAO|Dao)")
_OF_FILES = re.compile(r"(Git|GitHub|Github|GitLab|Gitlab|Hg|Svn|Source|Code|Remote)\w*Repository")
_REPOSITORIES = {"crud", "dao", "daos", "repositories", "repository"}
_PROVIDER = re.compile(
    r"(get|make|create|open|new|provide|yield)_(async_)?(db|session|db_session|database|engine)"
    r"(_session|_engine)?|session_scope|db_session"
)
_DATABASES = {"database", "databases", "db", "session"}
_MODEL = re.compile(r"[A-Z]\w*")
_SESSION_NAME = re.compile(r"(\w+_)?(session|sess)")


def kind_of(context: Context, target: str) -> str | None:
    """Return what *target*, a dotted name, is if it stands for the database, or None."""
    parts = [part for part in target.replace("()", "").split(".") if part]
    if not parts:
        return None
    found = context.definition(".".join(parts))
    if found.path is None:
        return _of_library(found.dotted, parts)
    if found.node is None:
        # A module of the application: of what stands behind its name nothing is known.
        return None
    return _of_application(context, found)


def _of_library(dotted: str, parts: list[str]) -> str | None:
    origin = dotted.split(".")
    if origin[0] in ("sqlalchemy", "sqlmodel", "flask_sqlalchemy"):
        return next((_CLASSES[part] for part in reversed(origin) if part in _CLASSES), None)
    if origin != parts:
        # A re-export led somewhere else: to flask.session, say, or to requests.Session.
        return None
    return _by_spelling(parts)


def _by_spelling(parts: list[str]) -> str | None:
    for here, then, behind in zip(parts, [*parts[1:], ""], [*parts[2:], "", ""], strict=False):
        if here == "db" and then == "session" and (not behind or behind in SESSION_METHODS):
            return "a session"
        if _SESSION_NAME.fullmatch(here) and then in SESSION_METHODS:
            return "a session"
        if _MODEL.fullmatch(here) and then == "query":
            return "a query"
        if _is_repository(here):
            return "a repository"
        if here in _DATABASES and then in ("async_engine", "engine"):
            return "an engine"
    return next((_UNMISTAKABLE[part] for part in parts[-2:] if part in _UNMISTAKABLE), None)


def _of_application(context: Context, found: Definition) -> str | None:
    match found.node:
        case ast.ClassDef():
            return _of_class(context, found, found.node)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            if found.rest or not uses_sqlalchemy(found.names):
                return None
            inside = set(found.dotted.split(".")[:-1])
            of_module = "a repository" if inside & _REPOSITORIES else None
            return "a session" if _PROVIDER.fullmatch(name) else of_module
        case ast.Call():
            return _of_call(context, found, found.node)
    return None


def _of_class(context: Context, found: Definition, node: ast.ClassDef) -> str | None:
    if _is_repository(node.name) and uses_sqlalchemy(found.names):
        return "a repository"
    if found.rest[:1] == ("query",) and not _assigns(node, "query"):
        return "a query"
    made = [found.names.dotted(base) for base in node.bases] if found.names else []
    near = found.path or context.source.path
    origins = [context.application.origin(each, near) for each in made if each]
    inherits = any(is_from_sqlalchemy(origin, SESSIONS) for origin in origins)
    return "a session" if inherits else None


def _of_call(context: Context, found: Definition, call: ast.Call) -> str | None:
    if found.names is None or found.path is None:
        return None
    made = found.names.dotted(call.func)
    origin = context.application.origin(made, found.path) if made else None
    last = (origin or spelt(call.func)).rpartition(".")[2]
    if last == "SQLAlchemy":
        return _OF_FLASK_SQLALCHEMY.get(found.rest[0]) if found.rest else "Flask-SQLAlchemy"
    if is_from_sqlalchemy(origin, set(_CLASSES)):
        return _CLASSES[last]
    # An instance: SessionLocal(), or a repository that the module makes once.
    owner = context.application.definition(made, found.path) if made else None
    if owner is None and isinstance(call.func, ast.Name):
        bindings = found.names.bindings(call.func.id, call.func)
        values = [each.value for each in bindings if each.value is not None]
        if values:
            owner = Definition(call.func.id, (), found.path, values[0], found.names)
    if owner is None or owner.node is None or owner.node is call:
        return None
    if isinstance(owner.node, ast.FunctionDef | ast.AsyncFunctionDef):
        made_here = Definition(found.dotted, (), found.path, call, found.names)
        return production.bound_at_import(context, made_here)
    kind = _of_application(context, owner)
    return "a session" if kind in ("a session maker", "a scoped session") else kind


def _is_repository(name: str) -> bool:
    return bool(_REPOSITORY.fullmatch(name)) and not _OF_FILES.fullmatch(name)


def _assigns(node: ast.ClassDef, name: str) -> bool:
    return any(isinstance(each, ast.FunctionDef) and each.name == name for each in node.body)
