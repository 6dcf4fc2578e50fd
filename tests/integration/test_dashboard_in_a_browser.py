"""The dashboard as a browser shows it, on rows that factories made.

The application is served from the test's process, so that its requests are part of the test: what
the test has flushed is on the page, what a request commits is in the test, and all of it is undone.
"""

import shutil
from datetime import UTC, datetime

import pytest

from claude_headspace.domain.states import TaskState, TurnActor
from claude_headspace.models import Turn
from tests.integration.factories import ObjectiveFactory, TaskFactory, TurnFactory

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PHONE = {"width": 360, "height": 740}


# --8<-- [start:browser]
@pytest.fixture(scope="module")
def browser():
    """The machine's own Chromium, without a window; nothing is downloaded.

    Playwright runs an event loop in the tests' thread, where asyncio.run then runs no other.
    """
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser on this machine: none of {', '.join(BROWSERS)}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--disable-gpu"])
        yield chromium
        chromium.close()


# --8<-- [end:browser]


# --8<-- [start:taken]
@pytest.fixture
def live_server(pgsandbox_live_server):
    """The kit's own, although pytest-flask is installed and has one of that name."""
    return pgsandbox_live_server


# --8<-- [end:taken]


# --8<-- [start:page]
@pytest.fixture
def complaints():
    """What the page said of errors."""
    return []


@pytest.fixture
def page(browser, live_server, complaints):
    """A page in a window of its own, whose clock the test sets."""
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.clock.install()
    yield page
    context.close()


# --8<-- [end:page]


@pytest.fixture
def board(db_session):
    """Somebody at work, and somebody who waits."""
    ObjectiveFactory(current_text="Ship the beta")
    TaskFactory(agent__project__name="headspace")
    waiting = TaskFactory(state=TaskState.AWAITING_INPUT, agent__project__name="library")
    TurnFactory(task=waiting, text="Which of the two?", is_progress=True)
    return waiting


# --8<-- [start:shown]
def test_rows_of_factories_are_on_the_page(page, complaints):
    """They are flushed and never committed; the request is in the same transaction."""
    ObjectiveFactory(current_text="Ship the beta")
    task = TaskFactory(state=TaskState.AWAITING_INPUT)
    TurnFactory(task=task, text="Which of the two?", is_progress=True)

    page.goto("/")

    assert page.title() == "(1) Claude Headspace"
    assert page.locator("#objective strong").inner_text() == "Ship the beta"
    assert page.locator(".awaiting_input h3").all_inner_texts() == [task.agent.name]
    assert page.locator(".commanded .none").inner_text() == "None"
    assert complaints == []


# --8<-- [end:shown]


# --8<-- [start:renewed]
def test_the_page_renews_itself(page, board):
    """After ten seconds of the browser's clock, which the test lets pass at once."""
    page.goto("/")
    assert page.locator(".commanded h3").count() == 1
    TaskFactory()

    with page.expect_response("/"):
        page.clock.fast_forward("00:10")

    page.locator(".commanded h3").nth(1).wait_for()
    assert page.locator(".commanded .total").inner_text() == "2"


# --8<-- [end:renewed]


# --8<-- [start:answered]
def test_an_answer_over_http_is_in_the_test(page, board, db_session, pg):
    """A script posts as an agent does; the page shows it, the test sees the row, nobody else."""
    page.goto("/")
    turn = {"session_uuid": str(board.agent.session_uuid), "actor": "user", "text": "The first"}
    answer = page.request.post("/api/turns", data=turn)
    page.reload()

    assert answer.status == 201
    assert page.locator(".processing .said").inner_text() == "You The first"
    assert db_session.query(Turn).filter_by(actor=TurnActor.USER).one().text == "The first"
    assert pg.outside("select count(*) from turns") == 0


# --8<-- [end:answered]


def test_a_pause_stops_the_renewal(page, board):
    """And its end renews the page at once."""
    page.goto("/")
    page.get_by_role("button", name="Pause").click()
    TaskFactory()
    page.clock.fast_forward("01:00")
    assert page.locator(".commanded .total").inner_text() == "1"

    with page.expect_response("/"):
        page.get_by_role("button", name="Go on").click()

    page.locator(".commanded h3").nth(1).wait_for()
    assert page.locator(".commanded .total").inner_text() == "2"


def test_a_reader_without_scripts_has_a_link(browser, live_server, board):
    """The page is whole without its script; Refresh asks for it again."""
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    TaskFactory()
    page.get_by_role("link", name="Refresh").click()

    assert page.locator(".commanded .total").inner_text() == "2"
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(page, board, scheme, tmp_path):
    """Nothing is wider than the window, in either colour scheme, and the two differ."""
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme=scheme)
    page.goto("/")
    page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)

    brightness = "Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"
    assert page.evaluate("document.scrollingElement.scrollWidth") == PHONE["width"]
    assert (page.evaluate(brightness) > 128) is (scheme == "light")


def test_who_waits_is_one_click_away(page, board):
    """The status at the top leads to the column, which needs no scrolling on."""
    page.set_viewport_size(PHONE)
    page.goto("/")
    page.get_by_role("link", name="1 task waits for you").click()

    assert page.url.endswith("#awaiting_input")
    assert page.locator("#awaiting_input").is_visible()


def test_nothing_is_left_of_the_tests_before(page, pg):
    """The board is empty, and its clock says when it was drawn."""
    page.goto("/")

    drawn = datetime.fromisoformat(page.locator("#updated time").get_attribute("datetime"))
    assert page.locator(".none").count() == 5
    assert drawn.tzinfo == UTC
    assert pg.outside("select count(*) from tasks") == 0
