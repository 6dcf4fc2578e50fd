"""References in the settings become the objects that they name."""

from __future__ import annotations

import sys

import pytest

from pgsandbox.config import resolve
from pgsandbox.errors import ConfigurationError, DatabaseNotRequested


def test_a_reference_is_resolved_through_dots(module):
    """The part after the colon is followed from attribute to attribute."""
    module("pgs_models", "class db:\n    class metadata:\n        name = 'it'\n")

    assert resolve("pgs_models:db.metadata.name") == "it"


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("pgs_models.Base", 'does not read "package.module:name"'),
        ("pgs_nowhere:Base", 'There is no module "pgs_nowhere"'),
        ("pgs_models.sub:Base", 'There is no module "pgs_models.sub"'),
        ("pgs_models:Bse", '"pgs_models" has no "Bse"; did you mean "Base"?'),
        ("pgs_models:Base.metdata", '"pgs_models:Base" has no "metdata"; did you mean "metadata"'),
        ("pgs_models:Base.metadata.x.y", '"pgs_models:Base.metadata" has no "x".'),
    ],
)
def test_a_reference_to_nothing_is_refused(module, reference, says):
    """The message says which part is missing, and what is there."""
    module("pgs_models", "class Base:\n    metadata = None\n")

    with pytest.raises(ConfigurationError) as refused:
        resolve(reference)

    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import pgs_missing", "ModuleNotFoundError: No module named 'pgs_missing'"),
        ("raise SystemExit('no configuration')", "SystemExit: no configuration"),
        ("raise ValueError('bad postgresql://app:hush-hush@db/x')", "postgresql://app:***@db/x"),
    ],
)
def test_a_module_that_fails_is_named_with_its_failure(module, text, says):
    """The failure is chained, and its first words are in the message, without passwords."""
    module("pgs_broken", text)

    with pytest.raises(ConfigurationError) as refused:
        resolve("pgs_broken:Base")

    assert says in str(refused.value)
    assert "hush-hush" not in str(refused.value)
    assert refused.value.__cause__ is not None


def test_a_connection_that_was_refused_while_importing_speaks_for_itself(module):
    """An error of pgsandbox already says what happened and what to do."""
    module(
        "pgs_connects",
        "from pgsandbox.errors import DatabaseNotRequested\nraise DatabaseNotRequested('no')\n",
    )

    with pytest.raises(DatabaseNotRequested):
        resolve("pgs_connects:Base")


@pytest.mark.parametrize(
    ("file", "place"), [("shop.py", "."), ("shop/models.py", "."), ("src/shop/models.py", "src")]
)
def test_the_folder_of_a_module_that_is_not_found_is_named(tmp_path, monkeypatch, file, place):
    """As the value of pytest's setting that makes it known."""
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [each for each in sys.path if each])

    with pytest.raises(ConfigurationError) as caught:
        resolve("shop.models:db")

    assert f'pythonpath = ["{place}"]' in str(caught.value)
