"""A wrong setting is refused: the message names the place, the key and what would be right."""

from __future__ import annotations

import pytest

from pgsandbox.config import OTHER_VARIABLES, header_lines, rows
from pgsandbox.errors import ConfigurationError

SMALLEST = '[tool.pgsandbox]\nmetadata = "app.db:Base"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SMALLEST + "child_env = []\n", 'no key "child_env"; did you mean "child-env"?'),
        (SMALLEST + "metdata = 1\n", 'no key "metdata"; did you mean "metadata"?'),
        (SMALLEST + "frobnicate = 1\n", 'no key "frobnicate".'),
        (SMALLEST + "keep = true\n", "give --pg-keep, or set PGSANDBOX_KEEP=1"),
        (SMALLEST + 'server = "embeded"\n', 'Did you mean "embedded"?'),
        (SMALLEST + 'server = "postgres"\n', 'one of "auto", "external", "embedded"'),
        (SMALLEST + "server = 5\n", "server cannot be 5: the value is a number."),
        (SMALLEST + "server = true\n", "server cannot be true: the value is a boolean."),
        (SMALLEST + 'redirect = "true"\n', "true or false (without quotes"),
        (SMALLEST + 'paths = "tests"\n', "a list of paths from the project's root"),
        (SMALLEST + "paths = [1]\n", "paths cannot be [1]: the value holds a number."),
        (SMALLEST + 'paths = [""]\n', "the value holds an empty text."),
        (SMALLEST + 'paths = ["a\\u0000"]\n', "the value holds a NUL character."),
        (SMALLEST + "binds = []\n", "binds cannot be []: the value is a list."),
        (SMALLEST + "seed = 2020-01-01\n", "the value is a date or time."),
        (SMALLEST + 'seed = "app.seeds.load"\n', 'does not read "package.module:name"'),
        (SMALLEST + 'url = "localhost/shop"\n', 'neither a URL nor "package.module:callable"'),
        (SMALLEST + 'url = "sqlite:///shop.db"\n', "is not a URL of PostgreSQL"),
        (SMALLEST + 'allow = ["warehouse"]\n', "holds something that is not a URL"),
        (SMALLEST + 'child-env = ["A=B"]\n', "cannot name an environment variable"),
        (SMALLEST + 'forbidden-imports = ["a:b"]\n', "is not a dotted name"),
        (SMALLEST + 'schema = "migrations"\n', "needs to know where the migrations are"),
        (SMALLEST + 'migrations = "alembc"\n', "there is no such directory or file"),
        ('[tool.pgsandbox]\nmetadata = "app.db"\n', 'does not read "package.module:name"'),
        ("[tool.pgsandbox]\nmetadata = []\n", "metadata cannot be []: the value is empty."),
        ('[tool.pgsandbox]\nserver = "auto"\n', "does not set metadata"),
        ("[tool.pgsandbox]\n", "[tool.pgsandbox] does not set metadata"),
        ('[tool]\npgsandbox = "app.db:Base"\n', "is a table of settings, not one value"),
        (SMALLEST + "binds.audit = 1\n", "binds.audit is a table of settings"),
        (SMALLEST + "binds.audit.url = 'a:b'\n", "[tool.pgsandbox.binds.audit] does not set"),
        (
            SMALLEST + "binds.audit.meta-data = 'a:b'\n",
            '[tool.pgsandbox.binds.audit] has no key "meta-data"; did you mean "metadata"?',
        ),
        (SMALLEST + "server = \n", "(at line 3, column 10)"),
    ],
)
def test_a_wrong_file_is_refused(read_project, text, says):
    """The message names the place and the key, and what would be right."""
    with pytest.raises(ConfigurationError) as refused:
        read_project(text)

    assert says in str(refused.value)
    assert "pyproject.toml" in str(refused.value)


def test_a_file_that_is_not_text_is_refused(read_project, tmp_path):
    """TOML is UTF-8; the message names the file."""
    (tmp_path / "pyproject.toml").write_bytes(b"[tool.pgsandbox]\n# \xff")

    with pytest.raises(ConfigurationError, match="not valid TOML"):
        read_project(None)


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"PGSANDBOX_SERVR": "auto"}, 'sets nothing; did you mean "PGSANDBOX_SERVER"?'),
        ({"PGSANDBOX_ALLOW": "a"}, "allow is set in pyproject.toml [tool.pgsandbox] only."),
        ({"PGSANDBOX_SERVER": "embeded"}, 'Did you mean "embedded"?'),
        ({"PGSANDBOX_KEEP": "maybe"}, 'keep cannot be "maybe": the value is neither.'),
        ({"PGSANDBOX_METADATA": ","}, "the value is empty"),
    ],
)
def test_a_wrong_variable_is_refused(read_project, environ, says):
    """The message names the variable, and what would be right."""
    with pytest.raises(ConfigurationError) as refused:
        read_project(SMALLEST, environ)

    assert says in str(refused.value)
    assert next(iter(environ)) in str(refused.value)


def test_a_wrong_flag_is_refused(read_project):
    """The message names the flag."""
    with pytest.raises(ConfigurationError, match="--pg-schema"):
        read_project(SMALLEST, {}, {"schema": "models"})
    with pytest.raises(ConfigurationError, match="the value is ellipsis"):
        read_project(SMALLEST, {}, {"schema": ...})


@pytest.mark.parametrize("name", OTHER_VARIABLES)
def test_a_variable_that_sets_nothing_of_a_project_is_let_through(read_project, name):
    """Some variables of pgsandbox tell of the machine and are no settings."""
    assert read_project(SMALLEST, {name: "/usr/lib/postgresql/15/bin"}) is not None


def test_every_unknown_key_is_named_at_once(read_project):
    """Nobody has to run the tests once for each mistake."""
    with pytest.raises(ConfigurationError) as refused:
        read_project(SMALLEST + 'sever = "auto"\nchild_env = []\n')

    assert [fact.value for fact in refused.value.facts[:2]] == [
        '"sever"  (nearest: "server")',
        '"child_env"  (nearest: "child-env")',
    ]


def test_a_refusal_reads_as_a_whole(read_project):
    """Headline, facts with their sources, remedy, page."""
    with pytest.raises(ConfigurationError) as refused:
        read_project(SMALLEST + 'server = "embeded"\n')

    assert str(refused.value) == (
        'server cannot be "embeded": the value is none of them.\n'
        "\n"
        "  key        server\n"
        '  value      "embeded"  (pyproject.toml [tool.pgsandbox])\n'
        '  allowed    one of "auto", "external", "embedded"\n'
        "\n"
        'Did you mean "embedded"?\n'
        "Background: pgsandbox explain ConfigurationError (reference/errors/configuration-error/)"
    )


# --- passwords -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        (SMALLEST + 'url = ["postgresql://app:hush-hush@db/shop"]\n', {}),
        (SMALLEST + 'url = "postgresql:/app:hush-hush@db/shop"\n', {}),
        (SMALLEST + 'url = "app:hush-hush@db/shop"\n', {}),
        (SMALLEST + 'url = "app:x/hush-hush@db/shop"\n', {}),
        (SMALLEST + 'url = "mysql://app:hush-hush@db/shop"\n', {}),
        (SMALLEST + 'url = "host=db password=hush-hush user=app"\n', {}),
        (SMALLEST + "url = \"host=db password='a hush-hush' user=app\"\n", {}),
        (SMALLEST + 'ulr = "postgresql://app:hush-hush@db/shop"\n', {}),
        (SMALLEST + 'password = "hush-hush"\n', {}),
        (SMALLEST + 'allow = ["postgresql://app:hush-hush@db/shop"]\n', {}),
        (SMALLEST + 'allow = ["postgresql://db/shop?password=hush-hush"]\n', {}),
        (SMALLEST + 'allow = ["postgresql://app:hush-hush@[::1/shop"]\n', {}),
        (SMALLEST + 'seed = "postgresql://app:hush-hush@db/shop"\n', {}),
        (SMALLEST, {"PGSANDBOX_METADATA": "postgresql://app:hush-hush@db/shop"}),
    ],
)
def test_no_refusal_shows_a_password(read_project, text, environ):
    """A value with a password in it may be wrong in any way: it is shown without."""
    with pytest.raises(ConfigurationError) as refused:
        read_project(text, environ)

    assert "hush-hush" not in str(refused.value)


def test_a_password_in_the_url_is_kept_and_never_shown(read_project):
    """The kit logs in with it; rows and header show the URL without it."""
    settings = read_project(
        SMALLEST
        + 'url = "postgresql://app:hush-hush@db/shop"\n'
        + 'binds.audit = { url = "postgresql://app:hush-hush@db/audit", metadata = "a:b" }\n',
        {"TEST_DATABASE_URL": "postgresql://app:hush-hush@db/shop_test"},
    )

    shown = str([list(rows(settings)), header_lines(settings)])

    assert settings.url == "postgresql://app:hush-hush@db/shop"
    assert "hush-hush" not in shown
    assert shown.count("postgresql://app:***@db/shop") == 4
    assert shown.count("postgresql://app:***@db/audit") == 2
