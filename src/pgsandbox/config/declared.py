"""Every setting of pgsandbox, declared once.

The keys of ``[tool.pgsandbox]``, the flags, the environment variables, the checks, the report
header, the reference table and the attributes of ``Settings`` all come from these declarations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, Self, TypeVar, overload

from pgsandbox.config import kinds
from pgsandbox.config.kinds import Kind

T = TypeVar("T")

REQUIRED: Any = object()
"""The default of what a project that uses pgsandbox must set."""


@dataclass(frozen=True)
class Value:
    """A setting's value and the place it came from."""

    value: Any
    """What the kit uses."""
    source: str
    """``pyproject.toml [tool.pgsandbox]``, a variable, a flag, or ``default``."""


@dataclass(frozen=True, kw_only=True)
class _Values:
    values: Mapping[str, Value] = field(repr=False)
    """The value and source of each setting by key."""

    def changed(self, **values: object) -> Self:
        """Return a copy with other *values*, by attribute; their sources stay."""
        by_key = {name.replace("_", "-"): value for name, value in values.items()}
        changed = {key: replace(self.values[key], value=value) for key, value in by_key.items()}
        return replace(self, values={**self.values, **changed})


class Setting(Generic[T]):
    """One thing that people can set: declared as an attribute, where its value is then read."""

    def __init__(
        self,
        meaning: str,
        kind: Kind[T],
        default: T,
        *,
        everywhere: bool = False,
        in_file: bool = True,
    ) -> None:
        self.meaning = meaning
        """What it sets, as one sentence."""
        self.kind = kind
        """What its value may be."""
        self.default = default
        """Its value where nobody sets it."""
        self.everywhere = everywhere
        """Whether it has a flag and a variable, too."""
        self.in_file = in_file
        """Whether it may stand in pyproject.toml; a switch for a single run may not."""
        self.key = ""
        """Its name in ``[tool.pgsandbox]``."""

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the attribute's name for the key."""
        self.key = name.replace("_", "-")

    @overload
    def __get__(self, holder: None, owner: type) -> Setting[T]: ...
    @overload
    def __get__(self, holder: _Values, owner: type) -> T: ...
    def __get__(self, holder: _Values | None, owner: type) -> Setting[T] | T:
        """Return the value that *holder* has of it; of a class, the declaration."""
        if holder is None:
            return self
        value: T = holder.values[self.key].value
        return value

    def for_a_bind(self) -> Setting[T]:
        """Return the same, to be set in the file only."""
        return Setting(self.meaning, self.kind, self.default)

    @property
    def flag(self) -> str | None:
        """Its option of pytest's command line, if it has one."""
        return f"--pg-{self.key}" if self.everywhere else None

    @property
    def variable(self) -> str | None:
        """Its environment variable, if it has one."""
        return f"PGSANDBOX_{self.attribute.upper()}" if self.everywhere else None

    @property
    def is_required(self) -> bool:
        """Whether a project that uses pgsandbox must set it."""
        return self.default is REQUIRED

    @property
    def attribute(self) -> str:
        """Its name as an attribute of ``Settings``."""
        return self.key.replace("-", "_")

    @property
    def dest(self) -> str:
        """The name under which pytest keeps its flag's value."""
        return f"pg_{self.attribute}"

    @property
    def choices(self) -> tuple[str, ...]:
        """Its only values, if there are only some."""
        return self.kind.choices


@dataclass(frozen=True, kw_only=True)
class Settings(_Values):
    """The settings of one run; paths are absolute, references are not imported yet.

    What a test may open, and what belongs to the project's code and schema, is said in the file
    only: there it is reviewed, and no machine's environment changes it.
    """

    root: Path
    """The project's root, where its pyproject.toml stands."""
    test_database_url: str | None
    """The text of ``TEST_DATABASE_URL``, or None where it is unset or empty."""

    metadata = Setting(
        "The MetaData of the models, or anything with a .metadata; importing it registers them.",
        kinds.several(
            kinds.reference,
            '"package.module:name", or a list of these',
            or_one=True,
            not_empty=True,
        ),
        REQUIRED,
        everywhere=True,
    )
    url = Setting(
        "The application's own database: settings are copied from it, it is never a target.",
        kinds.one(
            kinds.url_or_reference,
            'a postgresql:// URL, or "package.module:callable" that returns one',
        ),
        None,
        everywhere=True,
    )
    server = Setting(
        "Where PostgreSQL comes from: found or started, a given one only, or started only.",
        kinds.choice("auto", "external", "embedded"),
        "auto",
        everywhere=True,
    )
    schema = Setting(
        "What the tables are made from: the metadata, or the Alembic migrations.",
        kinds.choice("metadata", "migrations"),
        "metadata",
        everywhere=True,
    )
    migrations = Setting(
        "The directory of the Alembic environment, or its ini file, from the project's root.",
        kinds.one(
            kinds.path,
            "a path from the project's root; `alembic.ini:name` is a section of the file",
        ),
        None,
        everywhere=True,
    )
    app = Setting(
        "The Flask application, or its factory, whose context models and migrations are read in.",
        kinds.one(kinds.reference, '"package.module:create_app", or the application itself'),
        None,
    )
    paths = Setting(
        "Tests below these are sandboxed without asking; others ask by fixture or marker.",
        kinds.several(kinds.path, "a list of paths from the project's root"),
        (Path("tests/integration"),),
        everywhere=True,
    )
    redirect = Setting(
        "Send connections to url to the test database instead of refusing them.",
        kinds.switch(),
        False,
        everywhere=True,
    )
    allow = Setting(
        "Databases that tests may open untouched, each by its exact URL.",
        kinds.several(kinds.url, "a list of URLs without passwords"),
        (),
    )
    allow_memory_sqlite = Setting(
        "Let SQLite be opened in memory where no test has asked for the database.",
        kinds.switch(),
        False,
    )
    swallowed_refusals = Setting(
        "What happens to a passing test whose application caught a refusal of pgsandbox.",
        kinds.choice("warn", "fail", "ignore"),
        "warn",
        everywhere=True,
    )
    uncommitted = Setting(
        "What happens to a passing test whose application wrote without a commit.",
        kinds.choice("fail", "warn", "ignore"),
        "fail",
        everywhere=True,
    )
    repeated_queries = Setting(
        "How often one line of the application may send the same statement in one transaction.",
        kinds.repetitions(),
        kinds.Repetitions(),
        everywhere=True,
    )
    clock = Setting(
        "Whether now() stands still for a test, or moves with each of its transactions.",
        kinds.choice("still", "moving"),
        "still",
        everywhere=True,
    )
    coverage = Setting(
        "Measure what of the schema the tests touch, print it, and write the data file.",
        kinds.switch(),
        False,
        everywhere=True,
        in_file=False,
    )
    coverage_file = Setting(
        "The data file of schema coverage, from the project's root.",
        kinds.one(kinds.path, "a path from the project's root"),
        Path(".pgsandbox-coverage"),
        everywhere=True,
    )
    coverage_html = Setting(
        "The directory for the pages of schema coverage, from the project's root.",
        kinds.one(kinds.path, "a path from the project's root"),
        None,
        everywhere=True,
    )
    coverage_json = Setting(
        "The file for schema coverage as JSON, from the project's root.",
        kinds.one(kinds.path, "a path from the project's root"),
        None,
        everywhere=True,
    )
    coverage_threshold = Setting(
        "The percentage of schema coverage below which a run that measures it fails.",
        kinds.percentage(),
        0.0,
        everywhere=True,
    )
    extensions = Setting(
        "PostgreSQL extensions that are created before the schema.",
        kinds.several(kinds.any_text, "a list of names of extensions"),
        (),
    )
    seed = Setting(
        "A callable that takes a Session and adds the rows that every test starts from.",
        kinds.one(kinds.reference, '"package.module:callable"'),
        None,
    )
    restart_sequences = Setting(
        "Restart sequences in each sandboxed test, for assertions that name ids.",
        kinds.switch(),
        False,
        everywhere=True,
    )
    binds = Setting["Mapping[str, Bind]"](
        "Further databases: for each name its url, metadata, schema and migrations.",
        kinds.table(),
        MappingProxyType({}),
    )
    child_env = Setting(
        "Environment variables that carry the test database's URL to child processes.",
        kinds.several(kinds.variable, "a list of names of environment variables"),
        (),
    )
    forbidden_imports = Setting(
        "Names that test files may not import.",
        kinds.several(kinds.dotted_name, 'a list of dotted names, as "package.module.name"'),
        (),
    )
    schema_ignore = Setting(
        "Differences between models and migrations to live with, each with the reason.",
        kinds.entries("object", "reason", optional=("finding",)),
        (),
    )
    factories = Setting(
        "The modules of the factories, where they are not in `factories.py` beside the tests.",
        kinds.several(kinds.dotted_name, 'a list of modules, as "tests.factories"'),
        (),
    )
    factories_ignore = Setting(
        "Findings of `factories check` to live with, each with the reason.",
        kinds.entries("object", "reason", optional=("finding",)),
        (),
    )
    large_tables = Setting(
        "Tables so large that the migration tests warn of what would lock them for long.",
        kinds.several(kinds.any_text, "a list of names of tables"),
        (),
    )
    keep = Setting(
        "Keep the test database after the run, and print how to look at it.",
        kinds.switch(),
        False,
        in_file=False,
        everywhere=True,
    )
    reuse = Setting(
        "Keep the built schema as a template for later runs, until what it depends on changes.",
        kinds.switch(),
        False,
        everywhere=True,
    )

    def source_of(self, key: str) -> str:
        """Return where the value of *key* came from; the key is spelt as in pyproject.toml."""
        return self.values[key].source


@dataclass(frozen=True, kw_only=True)
class Bind(_Values):
    """One further database of the application."""

    name: str
    """The name it has below ``[tool.pgsandbox.binds]``."""

    url = Settings.url.for_a_bind()
    metadata = Settings.metadata.for_a_bind()
    schema = Settings.schema.for_a_bind()
    migrations = Settings.migrations.for_a_bind()


def _declared_in(owner: type) -> tuple[Setting[Any], ...]:
    return tuple(each for each in vars(owner).values() if isinstance(each, Setting))


SETTINGS = _declared_in(Settings)
"""Every setting, in the reference's order."""

BIND_SETTINGS = _declared_in(Bind)
"""The settings of each table below ``[tool.pgsandbox.binds]``."""

OTHER_VARIABLES: dict[str, str] = {
    "PGSANDBOX_BINDIR": "the directory of PostgreSQL's programs for the embedded server",
    "PGSANDBOX_RUNDIR": "the directory, by its absolute path, for the embedded server's socket and "
    "data, instead of shared memory (`/dev/shm`, where it has a gigabyte) or `/tmp`",
}
"""Environment variables of pgsandbox that set nothing of a project, and what each is for."""
