"""Recordings: their inits, segments and links, what is left of deleted lessons, and how long a class keeps its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=nullable)


def _big(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _lesson(target: str | None) -> sa.Column[str]:
    keys = () if target is None else (sa.ForeignKey(target),)
    return sa.Column("lesson_id", sa.String(32), *keys, nullable=False)


def upgrade() -> None:
    """Make the tables."""
    op.add_column("classes", _number("keep_days", nullable=True))
    _make_recordings()
    _make_files()
    op.create_table(
        "lesson_links",
        sa.Column("digest", sa.String(64), nullable=False),
        _lesson("recordings.lesson_id"),
        _big("expires_unix_ms"),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index(op.f("ix_lesson_links_lesson_id"), "lesson_links", ["lesson_id"])
    op.create_table(
        "deleted_lessons",
        _lesson(None),
        _big("deleted_unix_ms"),
        _flag("files_removed"),
        sa.PrimaryKeyConstraint("lesson_id"),
    )
    op.create_index(op.f("ix_deleted_lessons_deleted_unix_ms"), "deleted_lessons", ["deleted_unix_ms"])


def _make_recordings() -> None:
    op.create_table(
        "recordings",
        _lesson("lessons.lesson_id"),
        _big("started_unix_us"),
        _big("heard_unix_ms"),
        _big("changed_unix_ms"),
        _number("revision"),
        _flag("kept"),
        _flag("complete"),
        _big("duration_ms"),
        sa.Column("gaps_ms", sa.Text(), nullable=False),
        _number("end_segments", nullable=True),
        _big("end_duration_us", nullable=True),
        sa.Column("lost", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("lesson_id"),
    )
    op.create_index(op.f("ix_recordings_heard_unix_ms"), "recordings", ["heard_unix_ms"])


def _make_files() -> None:
    op.create_table(
        "recording_inits",
        _lesson("recordings.lesson_id"),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        _number("size_bytes"),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("codecs", sa.String(64), nullable=False),
        _number("width"),
        _number("height"),
        sa.PrimaryKeyConstraint("lesson_id", "number"),
    )
    op.create_table(
        "recording_segments",
        _lesson("recordings.lesson_id"),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        _number("init"),
        _big("start_us"),
        _number("duration_us"),
        _flag("discontinuity"),
        _number("size_bytes"),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("lesson_id", "number"),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("deleted_lessons", "lesson_links", "recording_segments", "recording_inits", "recordings"):
        op.drop_table(table)
    with op.batch_alter_table("classes") as classes:
        classes.drop_column("keep_days")
