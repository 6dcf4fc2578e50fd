"""A database for the contenders that bring none: one for each process of the run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.pool import NullPool


@contextmanager
def database() -> Iterator[Engine]:
    """Create a database on the benchmark's server, and drop it at the end."""
    url = make_url(os.environ["BENCH_SERVER"])
    name = f"bench_{os.getpid()}"
    administration = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with administration.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = create_engine(url.set(database=name))
    try:
        yield engine
    finally:
        engine.dispose()
        with administration.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}"))
