"""The schema of a fresh test database, built from the models or from their migrations."""

from pgsandbox.schema.builders import (
    Builder,
    MetadataBuilder,
    MigrationsBuilder,
    Seed,
    quiet_warnings,
)
from pgsandbox.schema.logs import logging_kept

__all__ = [
    "Builder",
    "MetadataBuilder",
    "MigrationsBuilder",
    "Seed",
    "logging_kept",
    "quiet_warnings",
]
