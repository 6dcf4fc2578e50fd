"""Store orders."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


# --8<-- [start:upgrade]
def upgrade():
    op.create_table(
        "orders",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("amount", sa.Integer, nullable=False),
        sa.Column("state", sa.Enum("new", "sent", name="state"), nullable=False),
    )


def downgrade():
    op.drop_table("orders")


# --8<-- [end:upgrade]
