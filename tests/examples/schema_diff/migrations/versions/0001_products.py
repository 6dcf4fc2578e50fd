"""The table of products, as somebody wrote it down a year ago."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    """Make the table and the view."""
    op.execute(
        """
        create table products (
            id serial primary key,
            name varchar(50) not null,
            price numeric(10, 2) not null,
            on_sale boolean not null default true,
            constraint unique_name unique (name),
            constraint products_price_check check (price >= 0)
        )
        """
    )
    op.execute("create index products_on_sale on products (name)")
    op.execute("create view reports as select name, price from products")
