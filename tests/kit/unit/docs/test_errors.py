"""Every error has its page, and its message names that page."""

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


def test_every_error_has_its_page():
    """Under its name, and it says what else catches it."""
    for error in CLASSES:
        text = (PAGES / f"{error.page}.md").read_text("utf-8")
        base = error.__bases__[0]

        assert text.startswith(f"# {error.__name__}\n")
        is_said = f"Its base is [`{base.__name__}`]" in text
        assert (error, is_said) == (error, issubclass(base, PgSandboxError))


def test_every_message_leads_to_its_page():
    """Its last line is the command that prints the page, and the address on the site."""
    for error in CLASSES:
        page = (PAGES / f"{error.page}.md").relative_to(DOCS).with_suffix("").as_posix()

        wanted = f"\nBackground: pgsandbox explain {error.__name__} ({page}/)"
        assert str(error("x")).endswith(wanted)


def test_a_page_has_its_error():
    """What was renamed or removed is not explained any longer."""
    pages = {page.stem for page in PAGES.glob("*.md")} - {"index"}

    assert pages == {error.page for error in CLASSES}


def test_every_error_that_is_raised_shows_its_message():
    """The message is recorded from a real refusal, and another test re-runs it."""
    for error in CLASSES:
        file = f"{RECORDED}messages/{error.page}.txt"
        text = (PAGES / f"{error.page}.md").read_text("utf-8")

        assert (error, file in text) == (error, error.page not in NEVER_RAISED)


def test_the_list_of_errors_has_all():
    """Whoever looks for an error without a message finds it there."""
    text = (PAGES / "index.md").read_text("utf-8")

    assert [each for each in CLASSES if f"[`{each.__name__}`]({each.page}.md): " not in text] == []


def test_every_recorded_message_belongs_to_an_error():
    """Nothing is left of an error that is gone."""
    recorded = {file.stem for file in (ROOT / RECORDED / "messages").iterdir()}

    assert recorded == {error.page for error in CLASSES} - NEVER_RAISED
