"""A number that rises with the register, so that segments that arrive do not make it be read anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("relay", sa.Column("register_revision", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    """Drop the column."""
    with op.batch_alter_table("relay") as relay:
        relay.drop_column("register_revision")
