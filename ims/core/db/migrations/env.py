"""Alembic's entry: runs the migrations on the connection that `ims.core.db.migrate` hands over.

Revisions are written by hand, so no metadata is given: a test compares what they make with the models.
"""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
