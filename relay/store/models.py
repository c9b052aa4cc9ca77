"""The tables. ``migrations/`` makes them; a test holds that both agree. Not here: what the rows mean
(``relay/classroom/school.py``)."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, LargeBinary, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Id = String(32)
Digest = String(64)
Name = String(200)


class Base(DeclarativeBase):
    """Constraints have names, so that later migrations can change them on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class RelayRow(Base):
    """One row: who this relay is. Tokens are made out to it. ``register_revision`` rises with every change of the rows
    that make up the register (``register_revision.py``)."""

    __tablename__ = "relay"
    __table_args__ = (CheckConstraint("one = 1", name="only_one"),)
    one: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    relay_id: Mapped[str] = mapped_column(Id)
    register_revision: Mapped[int] = mapped_column(server_default="0")


class SchoolRow(Base):
    __tablename__ = "schools"
    school_id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(Name, unique=True)


class ClassRow(Base):
    __tablename__ = "classes"
    __table_args__ = (UniqueConstraint("school_id", "name"),)
    class_id: Mapped[str] = mapped_column(Id, primary_key=True)
    school_id: Mapped[str] = mapped_column(ForeignKey("schools.school_id"))
    name: Mapped[str] = mapped_column(Name)
    link: Mapped[str] = mapped_column(String(22), unique=True)
    keep_days: Mapped[int | None]


class RoomRow(Base):
    __tablename__ = "rooms"
    __table_args__ = (UniqueConstraint("school_id", "name"),)
    room_id: Mapped[str] = mapped_column(Id, primary_key=True)
    school_id: Mapped[str] = mapped_column(ForeignKey("schools.school_id"))
    name: Mapped[str] = mapped_column(Name)
    class_id: Mapped[str] = mapped_column(ForeignKey("classes.class_id"))


class KitRow(Base):
    __tablename__ = "kits"
    kit_id: Mapped[str] = mapped_column(Id, primary_key=True)
    room_id: Mapped[str] = mapped_column(ForeignKey("rooms.room_id"))
    public_key: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    software: Mapped[str] = mapped_column(Name)
    enrolled_unix_ms: Mapped[int] = mapped_column(BigInteger)
    revoked_unix_ms: Mapped[int | None] = mapped_column(BigInteger)


class EnrolCodeRow(Base):
    __tablename__ = "enrol_codes"
    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    room_id: Mapped[str] = mapped_column(ForeignKey("rooms.room_id"))
    expires_unix_ms: Mapped[int] = mapped_column(BigInteger)
    used_by_kit_id: Mapped[str | None] = mapped_column(ForeignKey("kits.kit_id"))


class StreamKeyRow(Base):
    __tablename__ = "stream_keys"
    key_id: Mapped[str] = mapped_column(Id, primary_key=True)
    room_id: Mapped[str] = mapped_column(ForeignKey("rooms.room_id"))
    digest: Mapped[str] = mapped_column(Digest, unique=True)
    expires_unix_ms: Mapped[int] = mapped_column(BigInteger)
    revoked_unix_ms: Mapped[int | None] = mapped_column(BigInteger)


class LessonRow(Base):
    """``publisher`` is a kit's or a stream key's id: no foreign key, because it may be either."""

    __tablename__ = "lessons"
    lesson_id: Mapped[str] = mapped_column(Id, primary_key=True)
    class_id: Mapped[str] = mapped_column(ForeignKey("classes.class_id"), index=True)
    room_id: Mapped[str] = mapped_column(ForeignKey("rooms.room_id"))
    publisher: Mapped[str] = mapped_column(Id)
    foreign_publisher: Mapped[bool]
    started_unix_ms: Mapped[int] = mapped_column(BigInteger)
    ended_unix_ms: Mapped[int | None] = mapped_column(BigInteger, index=True)
    end_reason: Mapped[str | None] = mapped_column(String(16))


class RecordingRow(Base):
    """A lesson's recording. ``revision`` rises with every change; ``lost`` and ``gaps_ms`` are JSON lists of pairs.

    ``duration_ms``, ``gaps_ms`` and ``complete`` follow from the segments, and spare lists of lessons reading them all.
    """

    __tablename__ = "recordings"
    lesson_id: Mapped[str] = mapped_column(ForeignKey("lessons.lesson_id"), primary_key=True)
    started_unix_us: Mapped[int] = mapped_column(BigInteger)
    heard_unix_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    changed_unix_ms: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int]
    kept: Mapped[bool]
    complete: Mapped[bool]
    duration_ms: Mapped[int] = mapped_column(BigInteger)
    gaps_ms: Mapped[str] = mapped_column(Text)
    end_segments: Mapped[int | None]
    end_duration_us: Mapped[int | None] = mapped_column(BigInteger)
    lost: Mapped[str | None] = mapped_column(Text)


class InitRow(Base):
    __tablename__ = "recording_inits"
    lesson_id: Mapped[str] = mapped_column(ForeignKey("recordings.lesson_id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    size_bytes: Mapped[int]
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    codecs: Mapped[str] = mapped_column(String(64))
    width: Mapped[int]
    height: Mapped[int]


class SegmentRow(Base):
    __tablename__ = "recording_segments"
    lesson_id: Mapped[str] = mapped_column(ForeignKey("recordings.lesson_id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    init: Mapped[int]
    start_us: Mapped[int] = mapped_column(BigInteger)
    duration_us: Mapped[int]
    discontinuity: Mapped[bool]
    size_bytes: Mapped[int]
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32))


class LessonLinkRow(Base):
    """A link to one lesson, which ends; only its token's digest is kept."""

    __tablename__ = "lesson_links"
    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    lesson_id: Mapped[str] = mapped_column(ForeignKey("recordings.lesson_id"), index=True)
    expires_unix_ms: Mapped[int] = mapped_column(BigInteger)


class DeletedLessonRow(Base):
    """All that is left of a deleted lesson, for a while: its kit must not bring it back."""

    __tablename__ = "deleted_lessons"
    lesson_id: Mapped[str] = mapped_column(Id, primary_key=True)
    deleted_unix_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    files_removed: Mapped[bool]
