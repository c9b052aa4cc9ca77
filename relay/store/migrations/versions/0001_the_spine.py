"""Schools, classes, rooms, kits, enrol codes, stream keys and lessons."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _id(name: str, target: str | None = None, *, nullable: bool = False) -> sa.Column[str]:
    if target is None:
        return sa.Column(name, sa.String(32), nullable=nullable)
    return sa.Column(name, sa.String(32), sa.ForeignKey(target), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _name(name: str = "name") -> sa.Column[str]:
    return sa.Column(name, sa.String(200), nullable=False)


def upgrade() -> None:
    """Make the tables."""
    _make_school()
    _make_publishers()
    _make_lessons()


def _make_school() -> None:
    op.create_table(
        "relay",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        _id("relay_id"),
        sa.PrimaryKeyConstraint("one"),
        sa.CheckConstraint("one = 1", name="only_one"),
    )
    op.create_table(
        "schools", _id("school_id"), _name(), sa.PrimaryKeyConstraint("school_id"), sa.UniqueConstraint("name")
    )
    op.create_table(
        "classes",
        _id("class_id"),
        _id("school_id", "schools.school_id"),
        _name(),
        sa.Column("link", sa.String(22), nullable=False),
        sa.PrimaryKeyConstraint("class_id"),
        sa.UniqueConstraint("school_id", "name"),
        sa.UniqueConstraint("link"),
    )
    op.create_table(
        "rooms",
        _id("room_id"),
        _id("school_id", "schools.school_id"),
        _name(),
        _id("class_id", "classes.class_id"),
        sa.PrimaryKeyConstraint("room_id"),
        sa.UniqueConstraint("school_id", "name"),
    )


def _make_publishers() -> None:
    op.create_table(
        "kits",
        _id("kit_id"),
        _id("room_id", "rooms.room_id"),
        sa.Column("public_key", sa.LargeBinary(32), nullable=False),
        _name("software"),
        _time("enrolled_unix_ms"),
        _time("revoked_unix_ms", nullable=True),
        sa.PrimaryKeyConstraint("kit_id"),
        sa.UniqueConstraint("public_key"),
    )
    op.create_table(
        "enrol_codes",
        sa.Column("digest", sa.String(64), nullable=False),
        _id("room_id", "rooms.room_id"),
        _time("expires_unix_ms"),
        _id("used_by_kit_id", "kits.kit_id", nullable=True),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "stream_keys",
        _id("key_id"),
        _id("room_id", "rooms.room_id"),
        sa.Column("digest", sa.String(64), nullable=False),
        _time("expires_unix_ms"),
        _time("revoked_unix_ms", nullable=True),
        sa.PrimaryKeyConstraint("key_id"),
        sa.UniqueConstraint("digest"),
    )


def _make_lessons() -> None:
    op.create_table(
        "lessons",
        _id("lesson_id"),
        _id("class_id", "classes.class_id"),
        _id("room_id", "rooms.room_id"),
        _id("publisher"),
        sa.Column("foreign_publisher", sa.Boolean(), nullable=False),
        _time("started_unix_ms"),
        _time("ended_unix_ms", nullable=True),
        sa.Column("end_reason", sa.String(16), nullable=True),
        sa.PrimaryKeyConstraint("lesson_id"),
    )
    op.create_index(op.f("ix_lessons_class_id"), "lessons", ["class_id"])
    op.create_index(op.f("ix_lessons_ended_unix_ms"), "lessons", ["ended_unix_ms"])


def downgrade() -> None:
    """Drop the tables."""
    for table in ("lessons", "stream_keys", "enrol_codes", "kits", "rooms", "classes", "schools", "relay"):
        op.drop_table(table)
