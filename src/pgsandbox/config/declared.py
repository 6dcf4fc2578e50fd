"""Every setting of pgsandbox, declared once.

The keys of ``[tool.pgsandbox]``, the flags, the environment variables, the checks, the report
header and the reference table all come from these declarations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from pgsandbox.config import kinds
from pgsandbox.config.kinds import Kind


@dataclass(frozen=True)
class Setting:
    """One thing that people can set."""

    key: str
    """Its name in ``[tool.pgsandbox]``."""
    meaning: str
    """What it sets, as one sentence."""
    kind: Kind
    """What its value may be."""
    default: object = None
    """Its value where nobody sets it."""
    flag: str | None = None
    """Its option of pytest's command line, if it has one."""
    variable: str | None = None
    """Its environment variable, if it has one."""
    is_required: bool = False
    """Whether a project that uses pgsandbox must set it."""
    in_file: bool = True
    """Whether it may stand in pyproject.toml; a switch for a single run may not."""

    @property
    def attribute(self) -> str:
        """The name of its field in ``Settings``."""
        return self.key.replace("-", "_")

    @property
    def dest(self) -> str:
        """The name under which pytest keeps its flag's value."""
        return f"pg_{self.attribute}"

    @property
    def choices(self) -> tuple[str, ...]:
        """Its only values, if there are only some."""
        return self.kind.choices


def _everywhere(
    key: str, meaning: str, kind: Kind, default: object = None, **more: bool
) -> Setting:
    name = key.replace("-", "_").upper()
    return Setting(key, meaning, kind, default, f"--pg-{key}", f"PGSANDBOX_{name}", **more)


# What a test may open, and what belongs to the project's code and schema, is said in the file only:
# there it is reviewed, and no machine's environment changes it.
SETTINGS: tuple[Setting, ...] = (
    _everywhere(
        "metadata",
        "The MetaData of the models, or anything with a .metadata; importing it registers them.",
        kinds.several(
            kinds.reference,
            '"package.module:name", or a list of these',
            or_one=True,
            not_empty=True,
        ),
        is_required=True,
    ),
    _everywhere(
        "url",
        "The application's own database: settings are copied from it, it is never a target.",
        kinds.one(
            kinds.url_or_reference,
            'a postgresql:// URL, or "package.module:callable" that returns one',
        ),
    ),
    _everywhere(
        "server",
        "Where PostgreSQL comes from: found or started, a given one only, or started only.",
        kinds.choice("auto", "external", "embedded"),
        "auto",
    ),
    _everywhere(
        "schema",
        "What the tables are made from: the metadata, or the Alembic migrations.",
        kinds.choice("metadata", "migrations"),
        "metadata",
    ),
    _everywhere(
        "migrations",
        "The directory of the Alembic environment, or its ini file, from the project's root.",
        kinds.one(
            kinds.path,
            "a path from the project's root; `alembic.ini:name` is a section of the file",
        ),
    ),
    Setting(
        "app",
        "The Flask application, or its factory, whose context models and migrations are read in.",
        kinds.one(kinds.reference, '"package.module:create_app", or the application itself'),
    ),
    _everywhere(
        "paths",
        "Tests below these are sandboxed without asking; others ask by fixture or marker.",
        kinds.several(kinds.path, "a list of paths from the project's root"),
        (Path("tests/integration"),),
    ),
    _everywhere(
        "redirect",
        "Send connections to url to the test database instead of refusing them.",
        kinds.switch(),
        False,
    ),
    Setting(
        "allow",
        "Databases that tests may open untouched, each by its exact URL.",
        kinds.several(kinds.url, "a list of URLs without passwords"),
        (),
    ),
    Setting(
        "allow-memory-sqlite",
        "Let SQLite be opened in memory where no test has asked for the database.",
        kinds.switch(),
        False,
    ),
    _everywhere(
        "refuse-sockets",
        "Refuse every connect of a Python socket in tests that do not ask for the database.",
        kinds.switch(),
        False,
    ),
    _everywhere(
        "swallowed-refusals",
        "What happens to a passing test whose application caught a refusal of pgsandbox.",
        kinds.choice("warn", "fail", "ignore"),
        "warn",
    ),
    _everywhere(
        "repeated-queries",
        "How often one line of the application may send the same statement in one transaction.",
        kinds.repetitions(),
        kinds.Repetitions(),
    ),
    _everywhere(
        "clock",
        "Whether now() stands still for a test, or moves with each of its transactions.",
        kinds.choice("still", "moving"),
        "still",
    ),
    _everywhere(
        "coverage",
        "Measure what of the schema the tests touch, print it, and write the data file.",
        kinds.switch(),
        False,
        in_file=False,
    ),
    _everywhere(
        "coverage-file",
        "The data file of schema coverage, from the project's root.",
        kinds.one(kinds.path, "a path from the project's root"),
        Path(".pgsandbox-coverage"),
    ),
    _everywhere(
        "coverage-html",
        "The directory for the pages of schema coverage, from the project's root.",
        kinds.one(kinds.path, "a path from the project's root"),
    ),
    _everywhere(
        "coverage-json",
        "The file for schema coverage as JSON, from the project's root.",
        kinds.one(kinds.path, "a path from the project's root"),
    ),
    _everywhere(
        "coverage-threshold",
        "The percentage of schema coverage below which a run that measures it fails.",
        kinds.percentage(),
        0.0,
    ),
    Setting(
        "extensions",
        "PostgreSQL extensions that are created before the schema.",
        kinds.several(kinds.any_text, "a list of names of extensions"),
        (),
    ),
    Setting(
        "seed",
        "A callable that takes a Session and adds the rows that every test starts from.",
        kinds.one(kinds.reference, '"package.module:callable"'),
    ),
    _everywhere(
        "restart-sequences",
        "Let sequences begin anew in each sandboxed test, for assertions that name ids.",
        kinds.switch(),
        False,
    ),
    Setting(
        "binds",
        "Further databases: for each name its url, metadata, schema and migrations.",
        kinds.table(),
        MappingProxyType({}),
    ),
    Setting(
        "child-env",
        "Environment variables that carry the test database's URL to child processes.",
        kinds.several(kinds.variable, "a list of names of environment variables"),
        (),
    ),
    Setting(
        "forbidden-imports",
        "Names that test files may not import.",
        kinds.several(kinds.dotted_name, 'a list of dotted names, as "package.module.name"'),
        (),
    ),
    Setting(
        "schema-ignore",
        "Differences between models and migrations to live with, each with the reason.",
        kinds.entries("object", "reason", optional=("finding",)),
        (),
    ),
    Setting(
        "factories",
        "The modules of the factories, where they are not in `factories.py` beside the tests.",
        kinds.several(kinds.dotted_name, 'a list of modules, as "tests.factories"'),
        (),
    ),
    Setting(
        "factories-ignore",
        "Findings of `factories check` to live with, each with the reason.",
        kinds.entries("object", "reason", optional=("finding",)),
        (),
    ),
    Setting(
        "large-tables",
        "Tables so large that the migration tests warn of what would lock them for long.",
        kinds.several(kinds.any_text, "a list of names of tables"),
        (),
    ),
    _everywhere(
        "keep",
        "Keep the test database after the run, and print how to look at it.",
        kinds.switch(),
        False,
        in_file=False,
    ),
    _everywhere(
        "reuse",
        "Keep the built schema as a template for later runs, until what it depends on changes.",
        kinds.switch(),
        False,
    ),
)

_IN_A_BIND = ("url", "metadata", "schema", "migrations")

BIND_SETTINGS: tuple[Setting, ...] = tuple(
    replace(setting, flag=None, variable=None) for setting in SETTINGS if setting.key in _IN_A_BIND
)
"""The settings of each table below ``[tool.pgsandbox.binds]``."""

OTHER_VARIABLES: dict[str, str] = {
    "PGSANDBOX_BINDIR": "the directory of PostgreSQL's programs for the embedded server",
    "PGSANDBOX_RUNDIR": "the directory, by its absolute path, for the embedded server's socket and "
    "data, instead of shared memory (`/dev/shm`, where it has a gigabyte) or `/tmp`",
}
"""Environment variables of pgsandbox that set nothing of a project, and what each is for."""
