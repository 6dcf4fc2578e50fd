"""Fixtures that are named like ours, read from conftest files and from installed plugins."""

from pgsandbox.cli.init import fixture_names
from pgsandbox.cli.init.places import source_of
from pgsandbox.lint.names import Names

_CONFTEST = """
    import pytest

    @pytest.fixture
    def db_session():
        return None

    @pytest.fixture
    def db_engine(db_engine):
        return db_engine

    @pytest.fixture
    def url(pg):
        return pg.url

    @pytest.fixture(name="db_connection")
    def connection(url):
        return url

    @pytest.fixture
    def session(db_session):
        return db_session
"""


def test_only_what_does_not_use_ours_hides_it(written):
    """One that asks for ours, by whatever way, is meant so."""
    root = written({"tests/conftest.py": _CONFTEST})
    file = root / "tests/conftest.py"
    found = list(fixture_names.hiding(root, {file: Names(source_of(file))}))

    assert [(each.place, each.message) for each in found] == [
        ("tests/conftest.py:4", "the fixture db_session hides the one of pgsandbox below tests/")
    ]


def test_an_installed_plugin_with_our_names_is_told(written, monkeypatch):
    """Its fixtures, and those that its module takes from another."""
    root = written(
        {
            "plugged/__init__.py": "",
            "plugged/plugin.py": """
                import pytest
                from plugged.engines import make_engine as db_engine

                @pytest.fixture
                def pg():
                    return None

                @pytest.fixture
                def other():
                    return None
            """,
            "plugged-1.dist-info/METADATA": "Name: plugged\nVersion: 1\n",
            "plugged-1.dist-info/entry_points.txt": "[pytest11]\nplug = plugged.plugin\n",
        }
    )
    monkeypatch.syspath_prepend(root)
    found = [each for each in fixture_names.hidden() if "plugged" in each.place]

    assert [(each.place, each.message) for each in found] == [
        (
            "plugged/plugin.py:2",
            "the plugin plug has a fixture db_engine, too, which pgsandbox's hides",
        ),
        ("plugged/plugin.py:5", "the plugin plug has a fixture pg, too, which pgsandbox's hides"),
    ]


def test_a_plugin_that_is_not_there_is_passed_over(written, monkeypatch):
    """Its announcement may have outlived it."""
    root = written(
        {
            "gone-1.dist-info/METADATA": "Name: gone\nVersion: 1\n",
            "gone-1.dist-info/entry_points.txt": "[pytest11]\ngone = gone.plugin\n",
        }
    )
    monkeypatch.syspath_prepend(root)

    assert not [each for each in fixture_names.hidden() if "gone" in each.place]
