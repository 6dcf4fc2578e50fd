"""Logging stays as it was, whatever an environment of Alembic does to it."""

from __future__ import annotations

import io
import logging
import logging.config
from collections.abc import Iterator

import pytest

from pgsandbox.schema.logs import logging_kept

_CONFIGURATION = """
[loggers]
keys = root,told

[handlers]
keys = console

[formatters]
keys =

[logger_root]
level = ERROR
handlers = console

[logger_told]
level = CRITICAL
handlers = console
qualname = tests.told
propagate = 0

[handler_console]
class = StreamHandler
args = ()
"""


class Handler(logging.Handler):
    """A handler that knows whether somebody has closed it."""

    is_closed = False

    def close(self) -> None:
        """Remember it."""
        self.is_closed = True
        super().close()


@pytest.fixture
def handler() -> Iterator[Handler]:
    """A handler of the root logger, as pytest has some."""
    handler = Handler()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def _configure() -> None:
    logging.config.fileConfig(io.StringIO(_CONFIGURATION))


def _fail_after_configuring() -> None:
    _configure()
    raise RuntimeError("broken")


def test_a_file_configuration_is_undone(handler: Handler) -> None:
    """Levels, handlers, propagation, and that all other loggers are switched off."""
    root, told, other = (logging.getLogger(name) for name in (None, "tests.told", "tests.other"))
    root_before = (root.level, list(root.handlers))
    told.setLevel(logging.INFO)
    with logging_kept():
        _configure()
        assert (root.level, told.propagate, other.disabled) == (logging.ERROR, False, True)

    assert (root.level, list(root.handlers)) == root_before
    assert (told.level, told.propagate, told.handlers) == (logging.INFO, True, [])
    assert not other.disabled


def test_no_handler_is_closed(handler: Handler) -> None:
    """A closed file is not opened again, so a log file would end there."""
    with logging_kept():
        _configure()

    assert not handler.is_closed
    logging.shutdown([each for each in logging._handlerList if each() is handler])
    assert handler.is_closed


def test_a_logger_that_is_new_is_as_new() -> None:
    """It was made in the block, and keeps nothing of what the block set."""
    with logging_kept():
        new = logging.getLogger("tests.new")
        new.setLevel(logging.ERROR)
        new.addHandler(logging.NullHandler())
        new.propagate, new.disabled = False, True

    assert (new.level, new.handlers, new.propagate, new.disabled) == (0, [], True, False)


def test_an_error_passes_and_logging_is_restored(handler: Handler) -> None:
    """A migration that fails has configured logging before."""
    level = logging.getLogger().level
    with pytest.raises(RuntimeError, match="broken"), logging_kept():
        _fail_after_configuring()

    assert logging.getLogger().level == level
    assert not handler.is_closed
