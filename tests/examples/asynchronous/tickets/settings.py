"""What production runs with."""

import os


def database_url() -> str:
    """The application's own database."""
    driver = os.environ.get("TICKETS_DRIVER", "asyncpg")
    return f"postgresql+{driver}://tickets:secret@127.0.0.1:9/tickets"
