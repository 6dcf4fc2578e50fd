"""The dashboard, and the JSON API: a blueprint per thing, every answer and error an object."""

from __future__ import annotations

from flask import Flask

from claude_headspace.web import (
    agents,
    dashboard,
    errors,
    events,
    health,
    objectives,
    projects,
    reports,
    tasks,
    turns,
)


def register_web(app: Flask) -> None:
    """Add the routes and the error answers to *app*."""
    for module in (agents, dashboard, events, health, objectives, projects, reports, tasks, turns):
        app.register_blueprint(module.blueprint)
    errors.register(app)
