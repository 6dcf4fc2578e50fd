"""Settings are shown with their sources, and without passwords."""

from __future__ import annotations

from pgsandbox.config import SETTINGS, header_lines, rows

SMALLEST = '[tool.pgsandbox]\nmetadata = "app.db:Base"\n'


def test_rows_show_every_setting_with_its_source(read_project):
    """One row for each setting, in the order of the reference; values as TOML writes them."""
    url = 'url = "app.config:url"\n'
    settings = read_project(SMALLEST + url, {"PGSANDBOX_REDIRECT": "1"})

    shown = {key: (value, source) for key, value, source in rows(settings)}

    assert list(shown) == [setting.key for setting in SETTINGS]
    assert shown["metadata"] == ('["app.db:Base"]', "pyproject.toml [tool.pgsandbox]")
    assert shown["redirect"] == ("true", "PGSANDBOX_REDIRECT")
    assert shown["paths"] == ('["tests/integration"]', "default")
    assert shown["migrations"] == ("none", "default")


def test_the_header_names_what_somebody_set(read_project):
    """Defaults are not news."""
    settings = read_project(SMALLEST, {}, {"keep": True})

    assert "\n".join(header_lines(settings)) == (
        'settings: metadata = ["app.db:Base"] (pyproject.toml [tool.pgsandbox]), '
        "keep = true (--pg-keep)"
    )


def test_flags_and_variables_follow_from_the_key():
    """Who knows the key knows the flag and the variable."""
    spelt = {setting.key: (setting.flag, setting.variable) for setting in SETTINGS}

    assert spelt["server"] == ("--pg-server", "PGSANDBOX_SERVER")
    assert spelt["keep"] == ("--pg-keep", "PGSANDBOX_KEEP")
    assert spelt["child-env"] == (None, None)
