"""Alembic's environment: the connection that it is given, or the application's engine."""

# --8<-- [start:env]
from alembic import context
from shop.database import engine
from shop.models import Base


def migrate(connection):
    """Run the migrations on *connection*."""
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    with engine.connect() as connection:
        migrate(connection)
# --8<-- [end:env]
