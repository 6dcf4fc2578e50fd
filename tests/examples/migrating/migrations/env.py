"""How Alembic reaches the database: the connection that it is given."""

from alembic import context

context.configure(
    connection=context.config.attributes.get("connection"),
    dialect_name="postgresql" if context.is_offline_mode() else None,
)
with context.begin_transaction():
    context.run_migrations()
