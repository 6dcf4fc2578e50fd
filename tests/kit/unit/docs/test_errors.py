"""Every error has its page, and its message names that page."""

import pytest

from pgsandbox import errors
from pgsandbox.errors import PgSandboxError
from tests.kit.unit.docs.pages import DOCS, RECORDED, ROOT

PAGES = DOCS / "reference" / "errors"
CLASSES = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, PgSandboxError)
]
NEVER_RAISED = {"pgsandbox-error", "schema-error", "guard-error", "sandbox-error"}
"""Bases, which nothing but their subclasses is an instance of."""

every_error = pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)


@every_error
def test_an_error_has_its_page(error):
    """Under its name, and it says what else catches it."""
    text = (PAGES / f"{error.page}.md").read_text("utf-8")
    base = error.__bases__[0]

    assert text.startswith(f"# {error.__name__}\n")
    assert (f"Its base is [`{base.__name__}`]" in text) == issubclass(base, PgSandboxError)


@every_error
def test_a_message_leads_to_the_page(error):
    """Its last line is the command that prints the page, and the address on the site."""
    page = (PAGES / f"{error.page}.md").relative_to(DOCS).with_suffix("").as_posix()

    wanted = f"\nBackground: pgsandbox explain {error.__name__} ({page}/)"
    assert str(error("x")).endswith(wanted)


def test_a_page_has_its_error():
    """What was renamed or removed is not explained any longer."""
    pages = {page.stem for page in PAGES.glob("*.md")} - {"index"}

    assert pages == {error.page for error in CLASSES}


@every_error
def test_an_error_that_is_raised_shows_its_message(error):
    """The message is recorded from a real refusal, and another test re-runs it."""
    file = f"{RECORDED}messages/{error.page}.txt"
    text = (PAGES / f"{error.page}.md").read_text("utf-8")

    assert (file in text) == (error.page not in NEVER_RAISED)


@every_error
def test_the_list_of_errors_has_it(error):
    """Whoever looks for an error without a message finds it there."""
    assert f"[`{error.__name__}`]({error.page}.md): " in (PAGES / "index.md").read_text("utf-8")


def test_every_recorded_message_belongs_to_an_error():
    """Nothing is left of an error that is gone."""
    recorded = {file.stem for file in (ROOT / RECORDED / "messages").iterdir()}

    assert recorded == {error.page for error in CLASSES} - NEVER_RAISED
