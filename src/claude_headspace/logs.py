"""Logging, and no password in anything that is shown."""

from __future__ import annotations

import logging
import re
from typing import TextIO, cast

from flask.logging import wsgi_errors_stream
from sqlalchemy.engine import URL

LOGGER = "claude_headspace"
"""The logger above all of the application's."""

_IN_URL = re.compile(r"(://[^:/@\s]*:)[^@\s]*@")
_IN_QUERY_OR_DSN = re.compile(
    r"(\b\w*password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&'\"]+)", re.IGNORECASE
)


def masked(text: str | URL) -> str:
    """Return *text* with ``***`` for every password in a URL or a connection string in it."""
    if isinstance(text, URL):
        text = text.render_as_string(hide_password=True)
    return _IN_QUERY_OR_DSN.sub(r"\1***", _IN_URL.sub(r"\1***@", text))


class MaskingFormatter(logging.Formatter):
    """Write a record, its traceback included, with every password masked."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text without passwords."""
        return masked(super().format(record))


def configure_logging(level: str = "INFO", name: str = LOGGER) -> None:
    """Send the log of *name* to the server's error stream, without passwords.

    Only that logger is touched; it goes on handing its records to the root, so whoever embeds the
    application, a test runner for one, sees them as well. Calling this again changes the level and
    nothing else.
    """
    logger = logging.getLogger(name)
    logger.setLevel(level)
    if any(isinstance(handler.formatter, MaskingFormatter) for handler in logger.handlers):
        return
    # Flask's stream is looked up at each write, so it is never one that was closed since.
    handler = logging.StreamHandler(cast(TextIO, wsgi_errors_stream))
    handler.setFormatter(MaskingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
