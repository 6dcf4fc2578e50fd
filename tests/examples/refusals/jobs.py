"""A job that runs in a process of its own: ``python -m jobs URL ITEM`` stores an order."""

import sys

from models import Order
from sqlalchemy import create_engine
from sqlalchemy.orm import Session


def main(url, item):
    """Store an order of *item* in the database at *url*."""
    with Session(create_engine(url)) as session:
        session.add(Order(item=item))
        session.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
