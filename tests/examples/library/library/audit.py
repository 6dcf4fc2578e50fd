"""The audit trail, which has an engine of its own and commits whatever its caller does."""

from __future__ import annotations

from sqlalchemy import create_engine, insert

from library.models import Entry


class AuditTrail:
    """Writes entries that stay, through a connection that nobody else uses."""

    def __init__(self, url):
        self.engine = create_engine(url)

    def write(self, text):
        """Write one entry and commit it."""
        with self.engine.begin() as connection:
            connection.execute(insert(Entry).values(text=text))
