"""A nightly job, started as a process of its own: ``python -m shop.export URL``."""

import sys

from sqlalchemy import create_engine, func, select

from shop.models import Order


def main(url):
    """Print how many orders there are."""
    with create_engine(url).connect() as connection:
        print(connection.scalar(select(func.count(Order.id))), "orders")


if __name__ == "__main__":
    main(sys.argv[1])
