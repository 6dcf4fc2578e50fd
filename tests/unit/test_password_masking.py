"""No password in anything that is shown."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy.engine import make_url

from claude_headspace.logs import LOGGER, MaskingFormatter, configure_logging, masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:s3cret@h/d", "postgresql://u:***@h/d"),
        ("postgresql+psycopg2://u:s3/cr:et@h:1/d?x=y", "postgresql+psycopg2://u:***@h:1/d?x=y"),
        ("see postgresql://u:s3cret@h/d, or", "see postgresql://u:***@h/d, or"),
        ("postgresql:///d?user=u&password=s3cret&x=y", "postgresql:///d?user=u&password=***&x=y"),
        ("host=h password=s3cret dbname=d", "host=h password=*** dbname=d"),
        ("host=h password='s3 \\'cret' dbname=d", "host=h password=*** dbname=d"),
        ("PGPASSWORD=s3cret psql", "PGPASSWORD=*** psql"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("http://h:80/a b@c", "http://h:80/a b@c"),
    ],
)
def test_passwords_are_masked_wherever_they_stand(text, shown):
    """In URLs, in their queries and in connection strings; the rest stays readable."""
    assert masked(text) == shown


def test_a_url_object_is_masked_in_its_query_too():
    """SQLAlchemy's own hiding stops at the user's part."""
    url = make_url("postgresql+psycopg2://u:s3cret@h/d?password=s3cret")

    assert masked(url) == "postgresql+psycopg2://u:***@h/d?password=***"


def test_a_log_record_is_masked_with_its_arguments():
    """What is put in by the logging module is seen as well."""
    record = logging.LogRecord(
        LOGGER, logging.INFO, __file__, 1, "at %s", ("postgresql://u:s3cret@h/d",), None
    )

    assert MaskingFormatter().format(record) == "at postgresql://u:***@h/d"


def test_a_log_record_is_masked_with_its_traceback():
    """Drivers quote connection strings in their errors."""
    try:
        raise RuntimeError("postgresql://u:s3cret@h/d")
    except RuntimeError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord(LOGGER, logging.ERROR, __file__, 1, "failed", (), info)

    written = MaskingFormatter().format(record)

    assert "RuntimeError: postgresql://u:***@h/d" in written
    assert "s3cret" not in written


def test_logging_is_configured_once():
    """Each application of a process asks for it; each line is written once."""
    configure_logging("INFO")
    before = list(logging.getLogger(LOGGER).handlers)
    configure_logging("INFO")

    assert logging.getLogger(LOGGER).handlers == before
