"""What production runs with."""

import os


def database_url():
    """The URL that every program of the depot is given, or that of a developer's machine."""
    default = "postgresql+psycopg2://depot:secret@127.0.0.1:9/depot"
    return os.environ.get("DATABASE_URL", default)
