"""``/health``: whether the application can do its work."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from claude_headspace.database import db
from claude_headspace.services.health import database_answers

blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
def health() -> ResponseReturnValue:
    """Answer 200 if the database answers, else 503; say nothing of where it is."""
    if database_answers(db.session()):
        return jsonify({"status": "ok", "database": "ok"})
    return jsonify({"status": "unavailable", "database": "unreachable"}), 503
