"""Reports that need no ORM, and connect by psycopg's own connect."""

import psycopg

HOST = "127.0.0.1"


# --8<-- [start:report]
def undelivered():
    """The codes of the parcels that are still here."""
    dsn = f"host={HOST} port=9 user=depot password=secret dbname=depot"
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("select code from parcels where not is_delivered order by code")
        return [code for (code,) in rows]


# --8<-- [end:report]


def of_the_old_depot():
    """What the depot had before it moved."""
    with psycopg.connect("postgresql://depot@old.example.com/depot") as connection:
        return connection.execute("select code from parcels").fetchall()
