"""The application's own engine, on the test database."""

# --8<-- [start:placed]
from shop.models import Order
from shop.orders import place
from sqlalchemy import select


def test_a_placed_order_is_stored(db_session):
    """The service uses its own engine, whose connections go to the test database instead."""
    number = place("tea")

    assert db_session.scalar(select(Order.item).where(Order.id == number)) == "tea"


# --8<-- [end:placed]


# --8<-- [start:migrated]
def test_the_schema_comes_from_the_migrations(pg):
    """Alembic has left its mark."""
    assert pg.outside("select version_num from alembic_version") == "0001"


# --8<-- [end:migrated]
