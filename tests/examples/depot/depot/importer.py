"""Reads codes from standard input: ``python -m depot.importer``."""

import sys

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from depot.models import Parcel
from depot.settings import database_url


def add(code):
    """Store one parcel, and return how many there are."""
    engine = create_engine(database_url())
    with Session(engine) as session:
        session.add(Parcel(code=code))
        session.commit()
        return session.query(Parcel).count()


if __name__ == "__main__":
    for line in sys.stdin:
        print(add(line.strip()))
