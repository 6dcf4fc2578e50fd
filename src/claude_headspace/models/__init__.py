"""The seven tables. Importing this package registers all of them with ``db``.

::

    Project ─< Agent ─< Task ─< Turn          deleted with their parent
    Event ─> any of the four                  outlives them: its reference becomes null
    Objective ─< ObjectiveHistory             deleted with their parent
"""

from __future__ import annotations

from claude_headspace.models.agent import Agent
from claude_headspace.models.event import Event
from claude_headspace.models.objective import Objective
from claude_headspace.models.objective_history import ObjectiveHistory
from claude_headspace.models.project import Project
from claude_headspace.models.task import Task
from claude_headspace.models.turn import Turn

__all__ = ["Agent", "Event", "Objective", "ObjectiveHistory", "Project", "Task", "Turn"]
