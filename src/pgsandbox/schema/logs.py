"""Lets other people's code configure logging, and puts everything back."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def logging_kept() -> Iterator[None]:
    """Undo what the block does to logging.

    The env.py that ``alembic init`` writes calls ``logging.config.fileConfig``, which replaces the
    handlers of the loggers that it names, disables all others, and closes every handler there is,
    pytest's among them.
    """
    before = [
        (each, each.level, each.disabled, each.propagate, list(each.handlers))
        for each in _loggers()
    ]
    # What fileConfig does not find in this list, it does not close (_clearExistingHandlers).
    known = logging._handlerList[:]  # type: ignore[attr-defined]
    logging._handlerList.clear()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        logging._handlerList[:] = known  # type: ignore[attr-defined]
        for logger in _loggers():
            _reset(logger)
        for logger, level, disabled, propagate, handlers in before:
            logger.setLevel(level)
            logger.disabled, logger.propagate = disabled, propagate
            logger.handlers[:] = handlers


def _loggers() -> list[logging.Logger]:
    root = logging.getLogger()
    named = root.manager.loggerDict.values()
    return [root, *(each for each in named if isinstance(each, logging.Logger))]


def _reset(logger: logging.Logger) -> None:
    """Make *logger* as a new one is."""
    logger.setLevel(logging.NOTSET)
    logger.disabled, logger.propagate = False, True
    logger.handlers.clear()
