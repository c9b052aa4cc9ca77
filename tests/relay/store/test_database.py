"""The database opens, migrates and fails as promised: by one name, in one line."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from relay.errors import StoreUnavailable
from relay.store.database import MIGRATIONS, Database, opened_database, sqlite_url, unbroken
from relay.store.migrations import HEAD
from relay.store.models import Base
from relay.store.recordings import RecordingRows
from relay.store.register import ensure_relay_id, read_register


async def test_the_migrations_make_exactly_the_models(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


def test_the_newest_migration_is_the_one_that_is_known_as_such() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


async def test_several_processes_may_open_a_fresh_database_at_once(tmp_path: Path) -> None:
    async def open_and_ask() -> str:
        async with opened_database("", tmp_path) as database:
            return await ensure_relay_id(database)

    assert len(set(await asyncio.gather(*(open_and_ask() for _ in range(4))))) == 1


async def test_migrating_twice_changes_nothing(database: Database) -> None:
    relay_id = await ensure_relay_id(database)
    await database.migrate()
    assert await ensure_relay_id(database) == relay_id


async def test_a_school_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    await asyncio.to_thread(_first_version, tmp_path / "relay.sqlite3")
    async with opened_database("", tmp_path) as database:
        [taught] = (await read_register(database)).classes.values()
        assert taught.name == "7Б"
        assert await RecordingRows(database).of_class(taught.class_id) == []


def _first_version(path: Path) -> None:
    """A database as the first version left it: a class with a room that refers to it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in (
            "INSERT INTO relay VALUES (1, 'r')",
            "INSERT INTO schools VALUES ('s', 'Школа № 7')",
            "INSERT INTO classes VALUES ('c', 's', '7Б', 'link')",
            "INSERT INTO rooms VALUES ('o', 's', '12', 'c')",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()


async def test_a_commit_survives_everything_short_of_the_disk(database: Database) -> None:
    async with database.reading() as session:
        pragmas = [
            (await session.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert pragmas == ["wal", 2, 1, 3000]  # 2: FULL


async def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path, database: Database) -> None:
    with sqlite3.connect(tmp_path / "relay.sqlite3") as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(StoreUnavailable, match="newer Parta"):
        await database.migrate()


@pytest.mark.parametrize("url", ["nonsense", "nosuchdialect+driver://x", "postgresql+nosuchdriver://x/y"])
async def test_a_database_that_cannot_be_spoken_to_is_named_in_one_line(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        async with opened_database(url, tmp_path):
            pass
    assert str(caught.value).startswith("store.database: ")
    assert "\n" not in str(caught.value)


async def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match=r"relay\.state_dir: .*file/state cannot be made"):
        async with opened_database("", tmp_path / "file" / "state"):
            pass


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "relay.sqlite3").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreUnavailable, match="file is not a database"):
        async with opened_database("", tmp_path):
            pass


async def test_the_state_folder_is_its_owners_alone(tmp_path: Path) -> None:
    async with opened_database("", tmp_path / "state"):
        assert (tmp_path / "state").stat().st_mode & 0o077 == 0


def test_the_default_database_is_in_the_state_folder() -> None:
    assert sqlite_url(Path("/srv/parta")) == "sqlite+aiosqlite:////srv/parta/relay.sqlite3"


async def test_a_statement_is_not_cut_off_when_its_caller_is_cancelled() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    done = []

    async def work() -> None:
        begun.set()
        await go_on.wait()
        done.append("whole")

    caller = asyncio.create_task(unbroken(work()))
    await begun.wait()
    caller.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == ["whole"]


async def test_what_a_cancelled_caller_would_have_been_told_is_not_lost_on_the_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def fail() -> None:
        begun.set()
        await go_on.wait()
        raise StoreUnavailable("locked")

    caller = asyncio.create_task(unbroken(fail()))
    await begun.wait()
    caller.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert caplog.records == []  # asyncio complains of an exception that nobody took
