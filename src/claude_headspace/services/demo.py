"""Demo data: a morning's work of some agents, told through the services themselves."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy.orm import Session

from claude_headspace.clock import now
from claude_headspace.domain.states import TurnActor
from claude_headspace.services.agents import heartbeat, register_agent
from claude_headspace.services.objectives import create_objective, list_objectives
from claude_headspace.services.projects import register_project
from claude_headspace.services.turns import process_turn

OBJECTIVE = ("Ship the first public release", "No new dependencies; docs before features")

USER, AGENT = TurnActor.USER, TurnActor.AGENT
Story = tuple[tuple[int, TurnActor, str], ...]
STORIES: tuple[tuple[str, Story], ...] = (
    (
        "/srv/demo/storefront",
        (
            (58, USER, "The checkout forgets the voucher when the address changes. Find out why."),
            (57, AGENT, "I reproduce it with a test first."),
            (49, AGENT, "The session is rebuilt without the cart's discounts. I write the fix."),
            (44, AGENT, "Done. The voucher stays, and the test that failed is green."),
            (12, USER, "Now move the tax rates out of the code and into the database."),
            (11, AGENT, "I read how prices are rounded today before I touch them."),
            (3, AGENT, "Rates differ by region since May. Shall I keep the history of each rate?"),
        ),
    ),
    (
        "/srv/demo/storefront",
        (
            (26, USER, "Make the product list load in under a second."),
            (24, AGENT, "One query per row, 240 of them. I join the categories instead."),
            (6, AGENT, "Down to three queries; I measure with the full catalogue now."),
        ),
    ),
    (
        "/srv/demo/billing",
        (
            (95, USER, "Write a migration that splits customer names into two columns."),
            (90, AGENT, "Which part is the family name when there are three words?"),
            (85, USER, "The last one; leave the rest in the first column."),
            (84, AGENT, "I write the migration with its way back."),
            (71, AGENT, "All changes have been applied, up and down, on a copy of the data."),
        ),
    ),
    (
        "/srv/demo/billing",
        ((1, USER, "Add an endpoint that lists unpaid invoices, the oldest first."),),
    ),
    (
        "/srv/demo/handbook",
        (
            (40, USER, "Check every link in the handbook."),
            (31, AGENT, "Two of 312 are dead. Do you want me to remove them or to replace them?"),
        ),
    ),
    ("/srv/demo/handbook", ()),
)
"""For each agent its project's path and what was said: minutes ago, by whom, what."""


def load_demo_data(session: Session, *, at: datetime | None = None) -> int:
    """Write what is missing of the demo data, and return how many agents were.

    An agent of the demo is known by its UUID, so that nothing is told twice.
    """
    at = at or now()
    loaded = 0
    for number, (path, turns) in enumerate(STORIES):
        project, _ = register_project(session, path, current_branch="main")
        uuid = uuid5(NAMESPACE_URL, f"claude-headspace:demo:{number}")
        moments = [at - timedelta(minutes=minutes) for minutes, _, _ in turns]
        agent, is_new = register_agent(session, uuid, project, at=min(moments, default=at))
        if not is_new:
            continue
        loaded += 1
        for moment, (_, actor, text) in zip(moments, turns, strict=True):
            process_turn(session, agent.session_uuid, actor, text, at=moment)
            heartbeat(session, agent.session_uuid, at=moment)
    if not list_objectives(session):
        create_objective(session, *OBJECTIVE, at=at)
    return loaded
