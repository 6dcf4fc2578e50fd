"""Every error has its place on the page that its message names."""

import re

import pytest

from pgsandbox import errors
from pgsandbox.errors import PgSandboxError
from tests.kit.unit.docs.pages import DOCS, RECORDED, ROOT

PAGE = (DOCS / "reference" / "errors.md").read_text("utf-8")
CLASSES = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, PgSandboxError)
]
NEVER_RAISED = {"pgsandbox-error", "schema-error", "guard-error", "sandbox-error"}
"""Bases, which nothing but their subclasses is an instance of."""
HEADINGS = re.findall(r"^#+ `?(\w+)`? \{ #([\w-]+) \}$", PAGE, re.MULTILINE)


def section(page):
    """What stands below the heading with the anchor *page*."""
    return re.split(r"^#+ ", PAGE.partition(f"{{ #{page} }}")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_an_error_has_its_heading(error):
    """Its name, and the anchor that "Background: reference/errors/#..." leads to."""
    assert (error.__name__, error.page) in HEADINGS


def test_a_heading_has_its_error():
    """What was renamed or removed is not explained any longer."""
    assert sorted(HEADINGS) == sorted((error.__name__, error.page) for error in CLASSES)


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_an_error_that_is_raised_shows_its_message(error):
    """The message is recorded from a real refusal, and another test re-runs it."""
    file = f"{RECORDED}messages/{error.page}.txt"

    assert (file in section(error.page)) == (error.page not in NEVER_RAISED)


def test_every_recorded_message_belongs_to_an_error():
    """Nothing is left of an error that is gone."""
    recorded = {file.stem for file in (ROOT / RECORDED / "messages").iterdir()}

    assert recorded == {error.page for error in CLASSES} - NEVER_RAISED
