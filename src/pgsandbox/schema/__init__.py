"""The schema of a fresh test database, built from the models or from their migrations."""

from pgsandbox.schema.builders import Builder, MetadataBuilder, MigrationsBuilder, Seed

__all__ = ["Builder", "MetadataBuilder", "MigrationsBuilder", "Seed"]
