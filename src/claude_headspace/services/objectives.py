"""Objectives: what is to be reached at present, and every earlier wording of it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from claude_headspace.clock import now
from claude_headspace.domain.payloads import EventType
from claude_headspace.errors import Invalid, NotFound
from claude_headspace.models import Objective, ObjectiveHistory
from claude_headspace.services.event_writer import NewEvent, write_event
from claude_headspace.services.paging import Page


def create_objective(
    session: Session, text: str, constraints: str | None = None, *, at: datetime | None = None
) -> Objective:
    """Set a first text, open its history row, and return the objective."""
    at = at or now()
    objective = Objective(current_text=_filled(text), constraints=constraints, set_at=at)
    session.add(objective)
    _open(session, objective)
    _write_changed(session, objective, previous=None)
    return objective


def set_objective(
    session: Session,
    objective_id: int,
    text: str,
    constraints: str | None = None,
    *,
    at: datetime | None = None,
) -> Objective:
    """Set a new text: close the open history row, open the next, and return the objective.

    Text and constraints that already hold change nothing. The objective's row is locked, so that
    two changes at once make two history rows, one after the other.

    :raises NotFound: if there is no such objective.
    """
    text = _filled(text)
    objective = _locked(session, objective_id)
    if (objective.current_text, objective.constraints) == (text, constraints):
        return objective
    # A clock that was set back must not end a wording before it began.
    at = max(at or now(), objective.set_at)
    previous = objective.current_text
    _close(session, objective, at)
    objective.current_text = text
    objective.constraints = constraints
    objective.set_at = at
    _open(session, objective)
    _write_changed(session, objective, previous=previous)
    return objective


def get_objective(session: Session, objective_id: int) -> Objective:
    """Return the objective, or raise :class:`NotFound`."""
    objective = session.get(Objective, objective_id)
    if objective is None:
        raise NotFound(f"there is no objective {objective_id}")
    return objective


def list_objectives(session: Session, page: Page = Page()) -> list[Objective]:
    """Return objectives, the one set last first."""
    statement = select(Objective).order_by(Objective.set_at.desc(), Objective.id.desc())
    return list(session.scalars(statement.limit(page.limit).offset(page.offset)))


def list_history(
    session: Session, objective_id: int, page: Page = Page()
) -> list[ObjectiveHistory]:
    """Return the wordings of an objective, the newest first."""
    statement = (
        select(ObjectiveHistory)
        .where(ObjectiveHistory.objective_id == get_objective(session, objective_id).id)
        .order_by(ObjectiveHistory.started_at.desc(), ObjectiveHistory.id.desc())
    )
    return list(session.scalars(statement.limit(page.limit).offset(page.offset)))


def delete_objective(session: Session, objective_id: int) -> None:
    """Delete the objective with its history; its events stay."""
    session.delete(get_objective(session, objective_id))
    session.flush()


def _filled(text: str) -> str:
    if not text.strip():
        raise Invalid({"text": "must not be empty"})
    return text


def _locked(session: Session, objective_id: int) -> Objective:
    statement = select(Objective).where(Objective.id == objective_id).with_for_update()
    found = session.scalars(statement, execution_options={"populate_existing": True}).one_or_none()
    if found is None:
        raise NotFound(f"there is no objective {objective_id}")
    return found


def _close(session: Session, objective: Objective, at: datetime) -> None:
    statement = select(ObjectiveHistory).where(
        ObjectiveHistory.objective_id == objective.id, ObjectiveHistory.ended_at.is_(None)
    )
    for row in session.scalars(statement):
        row.ended_at = max(at, row.started_at)
    # Within one flush inserts come before updates, and two open rows are one too many.
    session.flush()


def _open(session: Session, objective: Objective) -> None:
    session.add(
        ObjectiveHistory(
            objective=objective,
            text=objective.current_text,
            constraints=objective.constraints,
            started_at=objective.set_at,
        )
    )
    session.flush()


def _write_changed(session: Session, objective: Objective, previous: str | None) -> None:
    payload: dict[str, object] = {
        "objective_id": objective.id,
        "previous_text": previous,
        "text": objective.current_text,
        "constraints": objective.constraints,
    }
    write_event(session, NewEvent(EventType.OBJECTIVE_CHANGED, payload, timestamp=objective.set_at))
