"""Reads a project's settings: command line over environment over pyproject.toml over default."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pgsandbox.config.declared import (
    BIND_SETTINGS,
    OTHER_VARIABLES,
    REQUIRED,
    SETTINGS,
    Bind,
    Setting,
    Settings,
    Value,
)
from pgsandbox.config.discovery import FILE, TABLE, table_of
from pgsandbox.config.kinds import Refused
from pgsandbox.config.settings import TEST_DATABASE_URL, shown
from pgsandbox.errors import ConfigurationError, Fact
from pgsandbox.guard import masked

_PREFIX = "PGSANDBOX_"
_IN_FILE = f"{FILE} [{TABLE}]"


def read(
    root: Path, environ: Mapping[str, str], flags: Mapping[str, object | None]
) -> Settings | None:
    """Return the settings of the project at *root*, or None if it does not configure pgsandbox.

    *flags* holds what the command line gave, by key: the option's text, True for a switch, None for
    what was not given. A variable that is set to nothing counts as unset.

    A project configures pgsandbox by a table ``[tool.pgsandbox]``, or by ``metadata`` from a
    variable or a flag. Nothing is imported that the settings refer to; ``resolve`` does that.
    Raises ConfigurationError, which names the place, the key, the value and what is allowed there.

    """
    table = table_of(root)
    if table is None and not (flags.get("metadata") or environ.get(f"{_PREFIX}METADATA")):
        return None
    _refuse_unknown_keys(table or {}, SETTINGS, TABLE)
    _refuse_unknown_variables(environ)
    values = {
        setting.key: _value_of(setting, flags, environ, table or {}, TABLE) for setting in SETTINGS
    }
    _refuse_passwords(values["allow"])
    _require_metadata(values["metadata"], TABLE)
    values["migrations"] = _migrations_of(root, values, TABLE)
    values["paths"] = _paths_of(root, values["paths"])
    for key in ("coverage-file", "coverage-html", "coverage-json"):
        if values[key].value is not None:
            values[key] = replace(values[key], value=root / values[key].value)
    binds = values["binds"]
    bound = {name: _bind_of(root, name, table) for name, table in binds.value.items()}
    _refuse_redirect_without_url(values, bound)
    values["binds"] = replace(binds, value=MappingProxyType(bound))
    return Settings(
        root=root,
        test_database_url=environ.get(TEST_DATABASE_URL, "").strip() or None,
        values=MappingProxyType(values),
    )


def _refuse_unknown_keys(
    table: Mapping[str, object], settings: tuple[Setting[Any], ...], where: str
) -> None:
    place = f"{FILE} [{where}]"
    known = [setting.key for setting in settings if setting.in_file]
    unknown = [key for key in table if key not in known]
    if not unknown:
        return
    # Their values are not shown: what an unknown key holds may well be a password.
    raise ConfigurationError(
        f'{place} has no key "{unknown[0]}"{_suggestion(unknown[0], known)}',
        facts=[
            *(Fact("unknown", f'"{key}"{_hint(key, known)}', place) for key in unknown),
            Fact("keys", ", ".join(known)),
        ],
        remedy="Rename or remove what is unknown." + _not_in_file(unknown, settings),
    )


def _not_in_file(unknown: Iterable[str], settings: tuple[Setting[Any], ...]) -> str:
    return "".join(
        f" {setting.key} is for a single run: give {setting.flag}, or set {setting.variable}=1."
        for setting in settings
        if setting.key in unknown
    )


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    of_settings = {setting.variable for setting in SETTINGS if setting.variable}
    known = [*sorted(of_settings), *OTHER_VARIABLES]
    unknown = sorted(name for name in environ if name.startswith(_PREFIX) and name not in known)
    if not unknown:
        return
    in_file = {
        f"{_PREFIX}{setting.attribute.upper()}": setting.key
        for setting in SETTINGS
        if not setting.variable
    }
    remedy = "".join(
        f" {in_file[name]} is set in {_IN_FILE} only." for name in unknown if name in in_file
    )
    raise ConfigurationError(
        f"The environment variable {unknown[0]} sets nothing{_suggestion(unknown[0], known)}",
        facts=[
            *(Fact("unknown", f"{name}{_hint(name, known)}", "environment") for name in unknown),
            Fact("variables", ", ".join(known)),
        ],
        remedy=f"Rename or unset what is unknown.{remedy}",
    )


def _value_of(
    setting: Setting[Any],
    flags: Mapping[str, object | None],
    environ: Mapping[str, str],
    table: Mapping[str, object],
    where: str,
) -> Value:
    flag = flags.get(setting.key) if setting.flag else None
    variable = environ.get(setting.variable, "") if setting.variable else ""
    given: object
    if flag is not None:
        given, source = flag, str(setting.flag)
    elif variable.strip():
        given, source = variable.strip(), str(setting.variable)
    elif setting.key in table:
        given, source = table[setting.key], f"{FILE} [{where}]"
    else:
        return Value(setting.default, "default")
    try:
        if source in (setting.flag, setting.variable) and isinstance(given, str):
            return Value(setting.kind.from_text(given), source)
        return Value(setting.kind.from_toml(given), source)
    except Refused as refused:
        raise _refusal(setting, given, source, str(refused)) from None


def _refusal(setting: Setting[Any], given: object, source: str, why: str) -> ConfigurationError:
    near = _nearest(given, setting.choices) if isinstance(given, str) else None
    return ConfigurationError(
        f"{setting.key} cannot be {shown(given)}: the value {why}.",
        facts=[
            Fact("key", setting.key),
            Fact("value", shown(given), source),
            Fact("allowed", setting.kind.allowed),
        ],
        remedy=f'Did you mean "{near}"?' if near else f"Write {setting.kind.allowed}.",
    )


def _refuse_passwords(allow: Value) -> None:
    for url in allow.value:
        try:
            parts = urlsplit(url)
            has_password = parts.password is not None or "password" in parse_qs(parts.query)
        except ValueError:  # a bracket of an IPv6 address that never closes
            has_password = "@" in url
        if has_password:
            raise ConfigurationError(
                "allow names databases without their passwords.",
                facts=[Fact("key", "allow"), Fact("value", shown(url), allow.source)],
                remedy="Remove the colon and the password; they play no part in the comparison.",
            )


def _require_metadata(metadata: Value, where: str) -> None:
    if metadata.value is not REQUIRED:
        return
    raise ConfigurationError(
        f"[{where}] does not set metadata, so pgsandbox does not know the models.",
        facts=[Fact("key", "metadata"), Fact("value", "none", f"{FILE} [{where}]")],
        remedy='Add a line such as metadata = "myapp.database:db" that names the MetaData of the '
        "models, or any object that has a .metadata.",
    )


def _paths_of(root: Path, paths: Value) -> Value:
    """Return *paths* below *root*; those that somebody named are there."""
    found = tuple(root / path for path in paths.value)
    missing = [path for path in found if not path.exists()]
    if not missing or paths.source == "default":
        return replace(paths, value=found)
    path = missing[0]
    known = [str(each.relative_to(root)) for each in _near(path, root)]
    near = _nearest(str(paths.value[found.index(path)]), known)
    raise ConfigurationError(
        f"paths names {shown(path, root)}, and there is no such directory or file"
        + (f'; did you mean "{near}"?' if near else "."),
        facts=[
            Fact("key", "paths"),
            Fact("value", shown(paths.value), paths.source),
            Fact("looked at", masked(path)),
        ],
        remedy="Name the directories of the tests that use the database, from the directory of "
        "pyproject.toml. No test below a directory that is not there would be sandboxed.",
    )


def _near(path: Path, root: Path) -> list[Path]:
    """The directories beside *path*, or where it would be if those above it were spelt right."""
    above = next(each for each in path.parents if each.is_dir())
    if not above.is_relative_to(root):
        return []
    return [each for pattern in ("*", "*/*") for each in above.glob(pattern) if each.is_dir()]


def _refuse_redirect_without_url(values: Mapping[str, Value], binds: Mapping[str, Bind]) -> None:
    redirect, url = values["redirect"], values["url"]
    if not redirect.value or url.value or any(bind.url for bind in binds.values()):
        return
    raise ConfigurationError(
        "redirect = true has nothing to redirect: url does not say which database is the "
        "application's own.",
        facts=[
            Fact("redirect", shown(redirect.value), redirect.source),
            Fact("url", "none", url.source),
        ],
        remedy='Add a line such as url = "myapp.config:database_url", or the URL itself without '
        "its password; or remove redirect.",
    )


def _migrations_of(root: Path, values: Mapping[str, Value], where: str) -> Value:
    schema, migrations = values["schema"], values["migrations"]
    if migrations.value is None:
        if schema.value == "metadata":
            return migrations
        raise ConfigurationError(
            'schema = "migrations" needs to know where the migrations are.',
            facts=[
                Fact("schema", shown(schema.value), schema.source),
                Fact("migrations", "none", f"{FILE} [{where}]"),
            ],
            remedy='Add a line such as migrations = "migrations" that names the directory of the '
            "Alembic environment or its ini file.",
        )
    path = root / migrations.value
    if path.exists() or _is_section(path):
        return replace(migrations, value=path)
    raise ConfigurationError(
        f"migrations names {shown(migrations.value)}, and there is no such directory or file.",
        facts=[
            Fact("key", "migrations"),
            Fact("value", shown(migrations.value), migrations.source),
            Fact("looked at", masked(path)),
        ],
        remedy="Name the directory of the Alembic environment, the one with env.py in it, or its "
        "ini file, from the directory of pyproject.toml; alembic.ini:name is a section in that.",
    )


def _is_section(path: Path) -> bool:
    """Whether *path* is an ini file with one of its sections, as in ``alembic.ini:billing``."""
    name, colon, section = path.name.rpartition(":")
    if not (colon and path.with_name(name).is_file()):
        return False
    return f"[{section}]" in path.with_name(name).read_text("utf-8").splitlines()


def _bind_of(root: Path, name: str, table: object) -> Bind:
    where = f"{TABLE}.binds.{name}"
    if not isinstance(table, dict):
        raise ConfigurationError(
            f"binds.{name} is a table of settings, not one value.",
            facts=[Fact("value", shown(table), _IN_FILE)],
            remedy=f"Write a table [{where}] with url, metadata, schema or migrations in it.",
        )
    _refuse_unknown_keys(table, BIND_SETTINGS, where)
    values = {setting.key: _value_of(setting, {}, {}, table, where) for setting in BIND_SETTINGS}
    _require_metadata(values["metadata"], where)
    values["migrations"] = _migrations_of(root, values, where)
    return Bind(name=name, values=MappingProxyType(values))


def _suggestion(name: str, known: Iterable[str]) -> str:
    near = _nearest(name, known)
    return f'; did you mean "{near}"?' if near else "."


def _hint(name: str, known: Iterable[str]) -> str:
    near = _nearest(name, known)
    return f'  (nearest: "{near}")' if near else ""


def _nearest(name: str, known: Iterable[str]) -> str | None:
    spelt = {each.lower().replace("_", "-"): each for each in known}
    matches = difflib.get_close_matches(name.lower().replace("_", "-"), spelt, n=1)
    return spelt[matches[0]] if matches else None
