"""A shop that grew before its tests did: an engine at import time, and Alembic migrations."""
