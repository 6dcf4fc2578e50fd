"""The settings of one run, each with the place it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pgsandbox.config.declared import SETTINGS
from pgsandbox.config.kinds import Repetitions
from pgsandbox.guard import masked

TEST_DATABASE_URL = "TEST_DATABASE_URL"
"""The environment variable that gives the test database itself."""


@dataclass(frozen=True)
class Value:
    """A setting's value and the place it came from."""

    value: Any
    """What the kit uses."""
    source: str
    """``pyproject.toml [tool.pgsandbox]``, a variable, a flag, or ``default``."""


@dataclass(frozen=True)
class Bind:
    """One further database of the application."""

    name: str
    """The name it has below ``[tool.pgsandbox.binds]``."""
    url: str | None
    """The application's URL for it, or a reference to what returns that."""
    metadata: tuple[str, ...]
    """References to the metadata of its models."""
    schema: Literal["metadata", "migrations"]
    """What its tables are made from."""
    migrations: Path | None
    """Its Alembic environment or ini file."""


@dataclass(frozen=True)
class Settings:
    """The settings of one run; paths are absolute, references are not imported yet."""

    root: Path
    """The project's root, where its pyproject.toml stands."""
    metadata: tuple[str, ...]
    """References to the metadata of the models."""
    url: str | None
    """The application's own URL, or a reference to what returns it."""
    server: Literal["auto", "external", "embedded"]
    """Where PostgreSQL comes from."""
    schema: Literal["metadata", "migrations"]
    """What the tables are made from."""
    migrations: Path | None
    """The Alembic environment or ini file."""
    app: str | None
    """A reference to the application, or its factory, whose context the schema is built in."""
    paths: tuple[Path, ...]
    """Where tests are sandboxed without asking."""
    redirect: bool
    """Whether connections to ``url`` go to the test database."""
    allow: tuple[str, ...]
    """URLs of databases that may be opened untouched."""
    allow_memory_sqlite: bool
    """Whether SQLite may be opened in memory where no test has asked for the database."""
    refuse_sockets: bool
    """Whether tests that do not ask for the database may open no socket."""
    swallowed_refusals: Literal["warn", "fail", "ignore"]
    """What happens to a passing test whose application caught a refusal."""
    repeated_queries: Repetitions
    """How often one line may send the same statement, and what happens where it does."""
    clock: Literal["still", "moving"]
    """Whether the database's clock moves within a test."""
    coverage: bool
    """Whether the coverage of the schema is measured."""
    coverage_file: Path
    """The data file of that."""
    coverage_html: Path | None
    """Where its pages go, if they are wanted."""
    coverage_json: Path | None
    """Where it goes as JSON, if that is wanted."""
    coverage_threshold: float
    """The percentage below which a run fails."""
    extensions: tuple[str, ...]
    """PostgreSQL extensions to create."""
    seed: str | None
    """A reference to what adds the rows that every test starts from."""
    restart_sequences: bool
    """Whether sequences begin anew in each sandboxed test."""
    binds: Mapping[str, Bind]
    """The further databases by name."""
    child_env: tuple[str, ...]
    """Variables that carry the test URL to child processes."""
    forbidden_imports: tuple[str, ...]
    """Names that test files may not import."""
    schema_ignore: tuple[Mapping[str, str], ...]
    """Differences that ``schema diff`` does not report."""
    factories: tuple[str, ...]
    """The modules of the factories; empty where they are looked for beside the tests."""
    factories_ignore: tuple[Mapping[str, str], ...]
    """Findings that ``factories check`` does not report."""
    large_tables: tuple[str, ...]
    """Tables that a migration should not lock for long."""
    keep: bool
    """Whether the test database stays after the run."""
    reuse: bool
    """Whether the built schema stays as a template for later runs."""
    test_database_url: str | None
    """The text of ``TEST_DATABASE_URL``, or None where it is unset or empty."""
    values: Mapping[str, Value] = field(repr=False)
    """Every setting's value and source by key."""

    def source_of(self, key: str) -> str:
        """Return where the value of *key* came from; the key is spelt as in pyproject.toml."""
        return self.values[key].source


def rows(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield key, value as people read it, and source of every setting, in the reference's order."""
    for setting in SETTINGS:
        value = settings.values[setting.key]
        yield setting.key, shown(value.value, settings.root), value.source
    if settings.test_database_url is not None:
        yield TEST_DATABASE_URL, shown(settings.test_database_url), "environment"


def header_lines(settings: Settings) -> list[str]:
    """Return what the report header says: every setting that somebody set, with its source."""
    said = [
        f"{key} = {value} ({source})"
        for key, value, source in rows(settings)
        if source != "default"
    ]
    return ["settings: " + ", ".join(said)]


def shown(value: object, root: Path | None = None) -> str:
    """Return *value* as it would stand in TOML, without passwords; paths are seen from *root*."""
    said = str(value)
    match value:
        case None:
            said = "none"
        case bool():
            said = "true" if value else "false"
        case str():
            said = f'"{masked(value)}"'
        case Path():
            seen = value.relative_to(root) if root and value.is_relative_to(root) else value
            said = f'"{masked(seen.as_posix())}"'
        case list() | tuple():
            said = "[" + ", ".join(shown(item, root) for item in value) + "]"
        case Mapping():
            items = (f"{key} = {shown(each, root)}" for key, each in value.items())
            said = "{" + ", ".join(items) + "}"
        case Bind():
            said = shown({key: each for key, each in vars(value).items() if key != "name"}, root)
    return said
