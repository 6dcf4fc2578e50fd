"""Every error as JSON, with the status code that says whose it is.

::

    400  the body is not JSON            409  contradicts what is stored
    404  there is no such thing          415  the body does not say that it is JSON
    405  not with this method            422  a field is missing or wrong; ``fields`` says which
    500  our mistake, in the log         503  the database does not answer
"""

from __future__ import annotations

import logging

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from claude_headspace.errors import Conflict, HeadspaceError, Invalid, NotFound

_STATUS: dict[type[HeadspaceError], tuple[int, str]] = {
    NotFound: (404, "not_found"),
    Conflict: (409, "conflict"),
    Invalid: (422, "invalid"),
}
# PostgreSQL manual, appendix A, class 23: what a constraint refused.
_REFUSED = {
    "23503": (422, "invalid", "refers to something that does not exist"),
    "23505": (409, "conflict", "exists already"),
}

_log = logging.getLogger(__name__)


def register(app: Flask) -> None:
    """Answer every error of *app* with JSON."""
    app.register_error_handler(HeadspaceError, _on_refusal)
    app.register_error_handler(IntegrityError, _on_constraint)
    app.register_error_handler(OperationalError, _on_database)
    app.register_error_handler(InterfaceError, _on_database)
    app.register_error_handler(PoolTimeout, _on_database)
    app.register_error_handler(HTTPException, _on_http)


def error_body(status: int, code: str, message: str, **more: object) -> ResponseReturnValue:
    """Return an error answer; ``error.code`` is for programs, ``error.message`` for people."""
    return jsonify({"error": {"code": code, "message": message, **more}}), status


def _on_refusal(error: HeadspaceError) -> ResponseReturnValue:
    status, code = _STATUS.get(type(error), (500, "internal"))
    if isinstance(error, Invalid):
        return error_body(status, code, "the request is not valid", fields=error.fields)
    return error_body(status, code, str(error))


def _on_constraint(error: IntegrityError) -> ResponseReturnValue:
    """Say which constraint refused; the values stay out of the answer."""
    code = getattr(error.orig, "pgcode", None)
    constraint = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    status, name, why = _REFUSED.get(str(code), (422, "invalid", "breaks a rule of the database"))
    return error_body(status, name, why, constraint=constraint)


def _on_database(error: DBAPIError | PoolTimeout) -> ResponseReturnValue:
    # The driver's message only: SQLAlchemy's quotes the values, and they are people's words.
    _log.error("the database could not do its part: %s", getattr(error, "orig", error))
    return error_body(503, "database_unavailable", "the database does not answer; try again")


def _on_http(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    code = error.name.lower().replace(" ", "_")
    return error_body(status, code, error.description or error.name)
