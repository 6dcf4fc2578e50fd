"""Settings are read from four places, checked, and know where they came from."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pgsandbox.config import SETTINGS
from pgsandbox.config.kinds import Repetitions
from pgsandbox.errors import ConfigurationError

SMALLEST = '[tool.pgsandbox]\nmetadata = "app.db:Base"\n'


def test_a_project_without_pyproject_toml_is_not_configured(read_project):
    """No file, no settings."""
    assert read_project(None) is None


def test_a_project_that_only_depends_on_pgsandbox_is_not_configured(read_project):
    """The word alone, in a list of dependencies, configures nothing."""
    assert read_project('[project]\ndependencies = ["pgsandbox"]\n') is None


def test_other_settings_alone_do_not_configure_a_project(read_project):
    """A variable set for all of a machine's projects leaves the others alone, even misspelt."""
    environ = {"PGSANDBOX_SERVER": "embedded", "PGSANDBOX_SEVER": "embedded"}

    assert read_project("[project]\n", environ, {"server": "embedded"}) is None


@pytest.mark.parametrize(
    ("environ", "flags", "source"),
    [
        ({"PGSANDBOX_METADATA": "app.db:Base"}, {}, "PGSANDBOX_METADATA"),
        ({}, {"metadata": "app.db:Base"}, "--pg-metadata"),
    ],
)
def test_metadata_from_outside_configures_a_project(read_project, environ, flags, source):
    """A project without a table is configured by naming its metadata elsewhere."""
    settings = read_project(None, environ, flags)

    assert settings.metadata == ("app.db:Base",)
    assert settings.source_of("metadata") == source


@pytest.mark.parametrize(
    "text",
    [
        '[ tool . "pgsandbox" ]\nmetadata = "app.db:Base"\n',
        '[tool]\npgsandbox.metadata = "app.db:Base"\n',
        'tool = { pgsandbox = { metadata = "app.db:Base" } }\n',
    ],
)
def test_the_table_is_found_however_toml_spells_it(read_project, text):
    """TOML has several ways to write one table."""
    assert read_project(text).metadata == ("app.db:Base",)


def test_reading_a_project_without_a_table_does_not_load_the_toml_parser(tmp_path):
    """Where pgsandbox is not used, it costs one look at a file and no heavy import."""
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\n")
    code = (
        "import sys, pathlib\n"
        "from pgsandbox import config\n"
        "assert config.read(pathlib.Path(sys.argv[1]), {}, {}) is None\n"
        "print(sorted({'tomllib', 'sqlalchemy', 'pytest', 'factory'} & set(sys.modules)))\n"
    )
    environ = {"PYTHONPATH": ":".join(sys.path)}

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=environ,
    )

    assert done.stdout == "[]\n"


# --- values and their sources --------------------------------------------------------------------


def test_defaults_are_those_of_the_reference(read_project, tmp_path):
    """A table with metadata alone leaves everything else at its default."""
    settings = read_project(SMALLEST)

    assert settings.root == tmp_path
    assert settings.test_database_url is None
    assert {each.attribute: getattr(settings, each.attribute) for each in SETTINGS} == {
        "metadata": ("app.db:Base",),
        "url": None,
        "server": "auto",
        "schema": "metadata",
        "migrations": None,
        "paths": (tmp_path / "tests/integration",),
        "redirect": False,
        "allow_memory_sqlite": False,
        "swallowed_refusals": "warn",
        "uncommitted": "fail",
        "repeated_queries": Repetitions(),
        "clock": "still",
        "coverage": False,
        "coverage_file": tmp_path / ".pgsandbox-coverage",
        "coverage_html": None,
        "coverage_json": None,
        "coverage_threshold": 0.0,
        "allow": (),
        "extensions": (),
        "seed": None,
        "app": None,
        "restart_sequences": False,
        "binds": {},
        "child_env": (),
        "forbidden_imports": (),
        "schema_ignore": (),
        "factories": (),
        "factories_ignore": (),
        "large_tables": (),
        "keep": False,
        "reuse": False,
    }
    assert settings.source_of("server") == "default"
    assert settings.source_of("metadata") == "pyproject.toml [tool.pgsandbox]"


def test_every_key_is_read_from_the_file(read_project, tmp_path):
    """Each setting that may stand in pyproject.toml arrives in its field."""
    for name in ("migrations", "tests/db", "tests/api"):
        (tmp_path / name).mkdir(parents=True)

    settings = read_project("""
        [tool.pgsandbox]
        metadata = ["app.db:Base", "billing.models:db.metadata"]
        url = "app.config:database_url"
        server = "embedded"
        schema = "migrations"
        migrations = "migrations"
        paths = ["tests/db", "tests/api"]
        redirect = true
        allow = ["postgresql://reader@db.example/warehouse"]
        extensions = ["citext", "uuid-ossp"]
        seed = "app.seeds:load"
        child-env = ["DATABASE_URL"]
        forbidden-imports = ["app.db.engine"]
        """)

    assert settings.metadata == ("app.db:Base", "billing.models:db.metadata")
    assert settings.url == "app.config:database_url"
    assert settings.server == "embedded"
    assert settings.schema == "migrations"
    assert settings.migrations == tmp_path / "migrations"
    assert settings.paths == (tmp_path / "tests/db", tmp_path / "tests/api")
    assert settings.redirect is True
    assert settings.allow == ("postgresql://reader@db.example/warehouse",)
    assert settings.extensions == ("citext", "uuid-ossp")
    assert settings.seed == "app.seeds:load"
    assert settings.child_env == ("DATABASE_URL",)
    assert settings.forbidden_imports == ("app.db.engine",)


@pytest.mark.parametrize(
    ("environ", "flags", "value", "source"),
    [
        ({}, {}, "external", "pyproject.toml [tool.pgsandbox]"),
        ({"PGSANDBOX_SERVER": "embedded"}, {}, "embedded", "PGSANDBOX_SERVER"),
        ({"PGSANDBOX_SERVER": "embedded"}, {"server": "auto"}, "auto", "--pg-server"),
        ({"PGSANDBOX_SERVER": ""}, {"server": None}, "external", "pyproject.toml [tool.pgsandbox]"),
    ],
)
def test_flag_beats_variable_beats_file(read_project, environ, flags, value, source):
    """The closest place wins and is named; what is empty or not given counts as not set."""
    settings = read_project(SMALLEST + 'server = "external"\n', environ, flags)

    assert settings.server == value
    assert settings.source_of("server") == source


def test_lists_outside_the_file_are_comma_separated(read_project, tmp_path):
    """A variable and a flag hold the items of a list between commas."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    settings = read_project(
        None, {"PGSANDBOX_METADATA": "app.db:Base, billing.db:Base"}, {"paths": "a,b"}
    )

    assert settings.metadata == ("app.db:Base", "billing.db:Base")
    assert settings.paths == (tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize(
    ("text", "expected"), [("1", True), ("yes", True), ("0", False), ("Off", False)]
)
def test_switches_read_the_usual_words(read_project, text, expected):
    """A variable has no booleans, so the customary words stand for them."""
    assert read_project(SMALLEST, {"PGSANDBOX_KEEP": text}).keep is expected


def test_a_switch_on_the_command_line_is_a_boolean(read_project):
    """pytest gives True for an option without a value."""
    settings = read_project(SMALLEST, {}, {"keep": True})

    assert settings.keep is True
    assert settings.source_of("keep") == "--pg-keep"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"TEST_DATABASE_URL": ""}, None),
        ({"TEST_DATABASE_URL": "postgresql://a/b_test"}, "postgresql://a/b_test"),
    ],
)
def test_an_empty_test_database_url_counts_as_unset(read_project, environ, expected):
    """Continuous integration sets variables to nothing where people leave them unset."""
    assert read_project(SMALLEST, environ).test_database_url == expected


def test_binds_have_settings_of_their_own(read_project, tmp_path):
    """Each further database has its metadata, and the same defaults as the first."""
    (tmp_path / "alembic.ini").touch()

    settings = read_project(
        SMALLEST
        + """
        [tool.pgsandbox.binds.audit]
        metadata = "app.audit:Base"
        [tool.pgsandbox.binds.stats]
        url = "postgresql://localhost/stats"
        metadata = "app.stats:Base"
        schema = "migrations"
        migrations = "alembic.ini"
        """
    )

    assert list(settings.binds) == ["audit", "stats"]
    assert settings.binds["audit"].metadata == ("app.audit:Base",)
    assert settings.binds["audit"].schema == "metadata"
    assert settings.binds["stats"].url == "postgresql://localhost/stats"
    assert settings.binds["stats"].migrations == tmp_path / "alembic.ini"


def test_settings_cannot_be_changed(read_project):
    """What was read at the start holds for the run."""
    settings = read_project(SMALLEST)

    with pytest.raises(AttributeError):
        settings.server = "embedded"
    with pytest.raises(TypeError):
        settings.binds["other"] = None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("10", Repetitions(10, "warn")),
        ('"warn 10"', Repetitions(10, "warn")),
        ('"fail 2"', Repetitions(2, "fail")),
        ('"off"', Repetitions()),
    ],
)
def test_a_number_of_repetitions_may_have_a_word(read_project, written, read):
    """A number by itself warns."""
    settings = read_project(f"{SMALLEST}repeated-queries = {written}\n")

    assert settings.repeated_queries == read


def test_a_number_of_repetitions_is_read_from_a_flag_too(read_project):
    """Where everything is a text."""
    settings = read_project(SMALLEST, {}, {"repeated-queries": "10"})

    assert settings.repeated_queries == Repetitions(10, "warn")
    assert str(settings.repeated_queries) == '"warn 10"'


@pytest.mark.parametrize("written", ["1", "true", "-3", '"fail"', '"often 3"', '"fail 1"', "2.5"])
def test_no_other_number_of_repetitions_is_taken(read_project, written):
    """What was sent once is no repetition."""
    with pytest.raises(ConfigurationError, match="repeated-queries cannot be"):
        read_project(f"{SMALLEST}repeated-queries = {written}\n")


@pytest.mark.parametrize("written", ["101", "-1", '"high"', "true"])
def test_no_other_percentage_is_taken(read_project, written):
    """From 0 to 100."""
    with pytest.raises(ConfigurationError, match="coverage-threshold cannot be"):
        read_project(f"{SMALLEST}coverage-threshold = {written}\n")


def test_a_percentage_is_read_from_a_variable_too(read_project):
    """Where everything is a text."""
    settings = read_project(SMALLEST, {"PGSANDBOX_COVERAGE_THRESHOLD": "87.5"})

    assert settings.coverage_threshold == 87.5


def test_files_of_coverage_are_below_the_root(read_project, tmp_path):
    """Wherever pytest was started."""
    settings = read_project(f'{SMALLEST}coverage-html = "out/schema"\n')

    assert settings.coverage_html == tmp_path / "out" / "schema"
