"""Prints the authors: ``python -m library.catalogue URL``."""

import sys

from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from library.models import Author


def main(url):
    """Print the names of the authors in the database at *url*, one on each line."""
    with Session(create_engine(url)) as session:
        for name in session.scalars(select(Author.name).order_by(Author.name)):
            print(name)


if __name__ == "__main__":
    main(sys.argv[1])
