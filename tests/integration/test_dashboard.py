"""The dashboard as the server renders it: what is on it holds without any script."""

from datetime import timedelta

import pytest

from claude_headspace.clock import now
from claude_headspace.domain.states import TaskState, TurnActor
from claude_headspace.services.board import LONGEST_COLUMN, get_board
from tests.integration.factories import (
    AgentFactory,
    ObjectiveFactory,
    TaskFactory,
    TurnFactory,
)

EMPTY = dict.fromkeys(TaskState, 0)
HOUR = timedelta(hours=1)


def totals(board):
    """Return how many cards each state has."""
    return {state: column.total for state, column in board.columns.items()}


# --- what is on the board -------------------------------------------------------------------------


@pytest.mark.parametrize("state", [state for state in TaskState if state != TaskState.COMPLETE])
def test_a_task_is_in_the_column_of_its_state(state, db_session):
    """With its agent, its project and what was said last."""
    task = TaskFactory(state=state, agent__project__name="headspace")
    TurnFactory(task=task, timestamp=now(), text="Write the tests")
    last = TurnFactory(task=task, timestamp=now(), text="Which one?", is_progress=True)

    board = get_board(db_session)
    (card,) = board.columns[state].cards
    assert totals(board) == EMPTY | {state: 1}
    assert (card.agent, card.path, card.branch) == (task.agent.name, "/srv/project-0", "main")
    assert (card.actor, card.text, card.since) == (TurnActor.AGENT, "Which one?", last.timestamp)


def test_an_agent_without_an_open_task_is_idle(db_session):
    """Beside the task that it has completed."""
    task = TaskFactory(is_complete=True, started_at=now() - HOUR)

    board = get_board(db_session)
    assert totals(board) == EMPTY | {TaskState.IDLE: 1, TaskState.COMPLETE: 1}
    assert board.columns[TaskState.IDLE].cards[0].since == task.agent.last_seen_at
    assert board.columns[TaskState.IDLE].cards[0].text is None


def test_a_complete_task_leaves_the_board_after_a_day(db_session):
    """Its agent goes on being idle."""
    TaskFactory(is_complete=True, started_at=now() - 25 * HOUR)

    assert totals(get_board(db_session)) == EMPTY | {TaskState.IDLE: 1}


def test_what_an_ended_agent_left_undone_is_not_on_the_board(db_session):
    """What it completed is."""
    ended = {"started_at": now() - HOUR, "ended_at": now()}
    TaskFactory(agent=AgentFactory(**ended))
    AgentFactory(**ended)
    TaskFactory(agent=AgentFactory(**ended), is_complete=True)

    assert totals(get_board(db_session)) == EMPTY | {TaskState.COMPLETE: 1}


def test_the_newest_cards_come_first_and_a_column_has_an_end(db_session):
    """It says how many there are with those that are not shown."""
    tasks = TaskFactory.create_batch(LONGEST_COLUMN + 2)

    column = get_board(db_session).columns[TaskState.COMMANDED]
    newest = [task.agent.name for task in reversed(tasks)][:LONGEST_COLUMN]
    assert column.total == LONGEST_COLUMN + 2
    assert [card.agent for card in column.cards] == newest


def test_the_objective_that_was_set_last_holds(db_session):
    """Whichever was written last; there may be none."""
    assert get_board(db_session).objective is None
    holds = ObjectiveFactory(set_at=now())
    ObjectiveFactory(set_at=now() - HOUR)

    assert get_board(db_session).objective is holds


def test_a_fuller_board_takes_no_more_statements(client, pg):
    """Nobody waits longer because there is more to do."""
    TurnFactory()
    with pg.counting() as of_one:
        client.get("/")
    TurnFactory.create_batch(19)
    with pg.counting() as of_twenty:
        client.get("/")

    assert len(of_one) == len(of_twenty) == 2


# --- the page -------------------------------------------------------------------------------------


def test_an_empty_board_has_every_column(client):
    """In the order of a task's life, each a section with a heading."""
    page = client.get("/")

    positions = [page.text.index(f'<h2 id="{state}">') for state in TaskState]
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert positions == sorted(positions)
    assert page.text.count("<section ") == page.text.count('<p class="none">') == 5
    assert "<title>Claude Headspace</title>" in page.text
    assert "No objective is set." in page.text


def test_who_waits_is_said_at_the_top(client):
    """In the title, and in a status that leads to the column."""
    TurnFactory.create_batch(2, task__state=TaskState.AWAITING_INPUT)

    page = client.get("/").text
    assert "<title>(2) Claude Headspace</title>" in page
    assert '<a href="#awaiting_input">2 tasks wait for you</a>' in page


def test_what_people_said_is_text_and_no_markup(client):
    """A long text is cut, an objective is shown with its bounds."""
    TurnFactory(text="<script>alert(1)</script>" + "x" * 500)
    ObjectiveFactory(current_text="Ship & shine", constraints="No <b>")

    page = client.get("/").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;xxx" in page
    assert "x" * 200 not in page
    assert "Ship &amp; shine" in page
    assert "No &lt;b&gt;" in page


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=-5), "just now"),
        (timedelta(minutes=59), "59 min ago"),
        (timedelta(hours=23), "23 h ago"),
        (timedelta(days=3), "3 d ago"),
    ],
)
def test_a_time_is_shown_as_how_long_ago(before, shown, client):
    """In the largest unit that fits; the moment itself is there for machines."""
    turn = TurnFactory(timestamp=now() - before)

    page = client.get("/").text
    assert f'<time datetime="{turn.timestamp.isoformat()}">{shown}</time>' in page


def test_the_page_brings_its_script_and_its_style(client):
    """From the application itself, and nothing from elsewhere."""
    page = client.get("/").text
    with client.get("/static/dashboard.css") as style, client.get("/static/dashboard.js") as script:
        assert (style.status_code, script.status_code) == (200, 200)

    assert '<link rel="stylesheet" href="/static/dashboard.css">' in page
    assert '<script src="/static/dashboard.js" defer></script>' in page
    assert "http://" not in page
    assert "https://" not in page
