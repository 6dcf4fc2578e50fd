"""Where the database is: defaults, config.yaml, environment, and which of them wins."""

from __future__ import annotations

import pytest

from claude_headspace import config, create_app
from claude_headspace.errors import ConfigurationError

VARIABLES = [
    "DATABASE_HOST",
    "DATABASE_PORT",
    "DATABASE_NAME",
    "DATABASE_USER",
    "DATABASE_PASSWORD",
    "DATABASE_URL",
    "TEST_DATABASE_URL",
]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    """Take the variables of whoever runs the tests away."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """A working directory and a checkout without config.yaml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, "CHECKOUT", tmp_path)
    return tmp_path


@pytest.fixture
def file(tmp_path):
    """Write a config.yaml and return its path."""

    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(text, "utf-8")
        return path

    return write


def shown(settings):
    """Return the URL with its password."""
    return settings.url.render_as_string(hide_password=False)


def test_defaults_are_enough(nothing):
    """Without file and environment the URL is complete, and names its driver."""
    settings = config.load_settings()

    assert shown(settings) == "postgresql+psycopg2://postgres@localhost:5432/claude_headspace"
    assert (settings.pool_size, settings.pool_timeout) == (10, 30)


def test_the_repository_s_file_says_the_defaults(nothing):
    """config.yaml shows every key with the value it has anyway."""
    from_file = config.load_settings(
        config.__file__.replace("src/claude_headspace/config.py", "config.yaml")
    )

    assert shown(from_file) == shown(config.load_settings())


def test_the_file_of_the_working_directory_is_found(nothing):
    """It needs no option."""
    (nothing / "config.yaml").write_text("database: {name: here}")

    assert config.database_url().endswith("/here")


def test_the_file_overrides_the_defaults(file):
    """Keys that are left out keep theirs."""
    path = file("database: {host: db, port: 5433, user: app, password: s3cret, pool_size: 3}")
    settings = config.load_settings(path)

    assert shown(settings) == "postgresql+psycopg2://app:s3cret@db:5433/claude_headspace"
    assert (settings.pool_size, settings.pool_timeout) == (3, 30)


def test_variables_override_the_file(file):
    """Each variable overrides its key."""
    environ = {
        "DATABASE_HOST": "elsewhere",
        "DATABASE_PORT": "6543",
        "DATABASE_NAME": "other",
        "DATABASE_USER": "me",
        "DATABASE_PASSWORD": "p@ss/w:rd",
    }
    settings = config.load_settings(file("database: {host: db, user: app}"), environ)

    assert settings.url.host == "elsewhere"
    assert shown(settings) == "postgresql+psycopg2://me:p%40ss%2Fw%3Ard@elsewhere:6543/other"


def test_the_url_overrides_all(file):
    """DATABASE_URL leaves only the pool's settings to the file."""
    environ = {
        "DATABASE_URL": "postgresql+psycopg2://u:p@h:1/d?sslmode=require",
        "DATABASE_HOST": "elsewhere",
    }
    settings = config.load_settings(file("database: {host: db, pool_size: 3}"), environ)

    assert shown(settings) == environ["DATABASE_URL"]
    assert settings.pool_size == 3


def test_the_file_may_have_a_url(file):
    """DATABASE_URL overrides it, a variable for one of its parts does not."""
    path = file("database: {url: 'postgresql://h/d', host: db}")

    assert shown(config.load_settings(path, {"DATABASE_HOST": "x"})) == f"{config.DRIVER}://h/d"
    assert config.load_settings(path, {"DATABASE_URL": "postgresql://h/e"}).url.database == "e"


def test_a_variable_that_is_empty_is_not_set(file):
    """But an empty DATABASE_PASSWORD means no password."""
    environ = {"DATABASE_URL": "", "DATABASE_HOST": "", "DATABASE_PASSWORD": ""}
    settings = config.load_settings(file("database: {host: db, password: s3cret}"), environ)

    assert shown(settings) == "postgresql+psycopg2://postgres@db:5432/claude_headspace"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_url_without_a_driver_gets_one(scheme, nothing):
    """SQLAlchemy 2.0 and 2.1 disagree about what such a URL means."""
    settings = config.load_settings(environ={"DATABASE_URL": f"{scheme}://h/d"})

    assert shown(settings) == "postgresql+psycopg2://h/d"


def test_a_host_that_is_a_directory_is_a_socket(file):
    """A path can't stand where a URL has its host."""
    settings = config.load_settings(file("database: {host: /run/postgresql, port: 5433}"), {})

    assert settings.url.host is None
    assert dict(settings.url.query) == {"host": "/run/postgresql", "port": "5433"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("database: {prot: 1}", "database.prot is not a setting; did you mean port?"),
        ("database: {zzz: 1}", "database.zzz is not a setting$"),
        ("database: {port: x}", "database.port must be a whole number above 0"),
        ("database: {port: true}", "database.port must be a whole number above 0"),
        ("database: {pool_size: 0}", "database.pool_size must be a whole number above 0"),
        ("database: {password: 0123}", "database.password must be a string; put it in quotes"),
        ("database: {host: ''}", "database.host must not be empty"),
        ("database: [1]", "section database must hold keys and values"),
        ("just text", "section database must hold keys and values"),
        ("database: {password: s3cret", "line 1: is not YAML"),
    ],
)
def test_a_file_that_can_not_be_used_is_refused(file, text, message):
    """The message names the file and the key, and never the value of a password."""
    path = file(text)

    with pytest.raises(ConfigurationError, match=message) as caught:
        config.load_settings(path, {})
    assert str(path) in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "other: {port: x}", "database:\n"])
def test_a_file_without_the_section_changes_nothing(file, text):
    """Other sections are other people's."""
    assert config.load_settings(file(text), {}).url.database == "claude_headspace"


def test_a_file_that_is_asked_for_must_exist(tmp_path):
    """Falling back to the defaults could mean another database."""
    with pytest.raises(ConfigurationError, match="can't be read: No such file"):
        config.load_settings(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"DATABASE_PORT": "x"}, "DATABASE_PORT must be a whole number"),
        ({"DATABASE_URL": "no url u:s3cret@h"}, "DATABASE_URL is not a database URL"),
        (
            {"DATABASE_URL": "mysql://u:s3cret@h/d"},
            "must be a PostgreSQL URL with a database: mysql://u:\\*\\*\\*@h/d",
        ),
        ({"DATABASE_URL": "postgresql://u:s3cret@h"}, "must be a PostgreSQL URL with a database"),
        ({"DATABASE_URL": "postgresql://u:s3cret@h:x/d"}, "DATABASE_URL is not a database URL"),
    ],
)
def test_a_variable_that_can_not_be_used_is_refused(nothing, environ, message):
    """The message names the variable, and shows no password."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        config.load_settings(environ=environ)
    assert "s3cret" not in str(caught.value)


def test_the_test_database_is_the_application_s_with_test_on_its_name(nothing, monkeypatch):
    """Server, user and query are the same."""
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg2://u:p@h:1/d?sslmode=require")

    assert config.test_database_url() == "postgresql+psycopg2://u:p@h:1/d_test?sslmode=require"


def test_the_test_database_can_be_given(nothing, monkeypatch):
    """TEST_DATABASE_URL wins over what would be derived."""
    monkeypatch.setenv("TEST_DATABASE_URL", "postgresql://u:p@h/other_test")

    assert config.test_database_url() == "postgresql+psycopg2://u:p@h/other_test"
    assert config.database_url().endswith("/claude_headspace")


def test_a_test_name_that_the_server_would_cut_is_refused(nothing, monkeypatch):
    """Cut to 63 bytes, the name with _test could be the application's own."""
    monkeypatch.setenv("DATABASE_NAME", "d" * 63)

    with pytest.raises(ConfigurationError, match="more than 63 bytes"):
        config.test_database_url()


def test_nothing_that_is_shown_has_the_password(file):
    """Not the settings' own text."""
    settings = config.load_settings(file("database: {password: s3cret}"), {})

    assert "s3cret" not in repr(settings)
    assert "s3cret" not in str(settings)


def test_the_engine_notices_dead_connections(nothing):
    """Connections are tried before use, renewed every hour, and given up on after five seconds."""
    assert config.load_settings().engine_options() == {
        "pool_pre_ping": True,
        "pool_recycle": 3600,
        "pool_size": 10,
        "pool_timeout": 30,
        "connect_args": {"connect_timeout": 5},
    }


def test_the_application_is_configured_from_the_file(file):
    """No connection is made for that."""
    app = create_app(file("database: {name: shown, pool_size: 3}"))

    assert app.config["SQLALCHEMY_DATABASE_URI"].endswith("/shown")
    assert app.config["SQLALCHEMY_ENGINE_OPTIONS"]["pool_size"] == 3


def test_overrides_of_the_application_win(file):
    """What is handed to the factory is stronger than file and environment."""
    url = "postgresql+psycopg2://localhost/mine"
    app = create_app(file("database: {name: shown}"), SQLALCHEMY_DATABASE_URI=url, TESTING=True)

    assert app.config["SQLALCHEMY_DATABASE_URI"] == url
    assert app.testing
