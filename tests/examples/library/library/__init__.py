"""A lending library: plain SQLAlchemy, two databases."""
