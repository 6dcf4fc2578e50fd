"""The JSON API: one blueprint per thing, every answer and every error a JSON object."""

from __future__ import annotations

from flask import Flask

from claude_headspace.web import (
    agents,
    errors,
    events,
    health,
    objectives,
    projects,
    reports,
    tasks,
    turns,
)


def register_api(app: Flask) -> None:
    """Add the API's routes and its error answers to *app*."""
    for module in (agents, events, health, objectives, projects, reports, tasks, turns):
        app.register_blueprint(module.blueprint)
    errors.register(app)
