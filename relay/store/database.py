"""The database: opening, migrating, and transactions whose failures have one name.

SQLite by default, shared with the command line's processes: WAL, so that readers never wait; ``synchronous=FULL``, so
that not even a power cut loses what was committed; writers say so at BEGIN, so that two of them queue, and none fails.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DataError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.util import await_only

from relay.errors import StoreUnavailable
from relay.store.migrations import HEAD
from relay.store.register_revision import count_register_changes

UNBROKEN_S = 0.5  # a statement takes milliseconds; one that waits for a lock must not hold up the stop
BUSY_TIMEOUT_S = 3.0  # the longest that another process's transaction may take before we give up and say so
LOCKED_AGAIN_S = 0.02  # a write-ahead log is begun in less
MIGRATIONS = Path(__file__).with_name("migrations")
_WRITES = "parta_writes"
_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class Database:
    """See the module. Closed by its owner."""

    def __init__(self, url: str) -> None:
        """``url`` as in ``store.database``. Raises ``StoreUnavailable`` when no such database can be spoken to."""
        try:
            self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
            self.engine = _engine(url, is_sqlite=self.is_sqlite)
        except (ArgumentError, ImportError) as error:
            raise StoreUnavailable(f"store.database: {_one_line(error)}") from error
        self._writers = self.engine.execution_options(**{_WRITES: True})

    async def migrate(self) -> None:
        """Bring the tables to this version. Safe when run twice, and from several processes at once."""
        async with failures_named("the database cannot be brought up to date"):
            async with self.engine.connect() as connection:
                if await connection.run_sync(_version) == HEAD:
                    return
            async with self._writers.begin() as connection:
                await connection.run_sync(_upgrade)

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session that sees one moment. Raises ``StoreUnavailable``."""
        async with failures_named("the database cannot be read"), AsyncSession(self.engine) as session:
            yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A session that commits at its end, or leaves nothing. Raises ``StoreUnavailable``."""
        async with (
            failures_named("the database cannot be written"),
            AsyncSession(self._writers, expire_on_commit=False) as session,
            session.begin(),
        ):
            event.listen(session.sync_session, "before_flush", count_register_changes)
            yield session


@asynccontextmanager
async def opened_database(configured: str, state_dir: Path) -> AsyncIterator[Database]:
    """The database that ``store.database`` names, or the one in the state folder, which is made. Up to date. Raises
    ``StoreUnavailable``."""
    _make_folder(state_dir)
    database = Database(configured or sqlite_url(state_dir))
    try:
        await database.migrate()
        yield database
    finally:
        await database.close()


def _make_folder(state_dir: Path) -> None:
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        reason = f"relay.state_dir: {state_dir} cannot be made ({error.strerror}); choose another folder"
        raise StoreUnavailable(reason) from error


def sqlite_url(state_dir: Path) -> str:
    """The default database: a file in the state folder."""
    return f"sqlite+aiosqlite:///{state_dir / 'relay.sqlite3'}"


@asynccontextmanager
async def failures_named(what: str) -> AsyncIterator[None]:
    """Turn the driver's errors (locked, full, gone) into ``StoreUnavailable``; mistakes in the data pass."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        if isinstance(error, DatabaseError) and not _is_the_database_itself(error):
            raise
        raise StoreUnavailable(f"{what}: {_one_line(error)}") from error


def _is_the_database_itself(error: DatabaseError) -> bool:
    return not isinstance(error, IntegrityError | DataError | ProgrammingError | NotSupportedError)


def _one_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).splitlines()[0]


def _engine(url: str, *, is_sqlite: bool) -> AsyncEngine:
    if not is_sqlite:
        return create_async_engine(url, pool_pre_ping=True)
    engine = create_async_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we begin transactions: the driver's own rules know no BEGIN IMMEDIATE
    cursor = connection.cursor()
    _use_write_ahead_log(cursor)
    for pragma in ("synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_write_ahead_log(cursor: Any) -> None:
    """Once in a database's life. SQLite does not wait with it for others who open the same new database, as it does
    elsewhere: "database is locked" comes at once, until one of them has done it."""
    patient_until_s = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > patient_until_s:
                raise
            await_only(asyncio.sleep(LOCKED_AGAIN_S))
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if found is not None and found > HEAD:
        raise StoreUnavailable(f"the database is of a newer Parta ({found}; this one knows {HEAD}); upgrade this one")
    return found


def _upgrade(connection: Connection) -> None:
    if _version(connection) == HEAD:  # another process was quicker
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def unbroken(work: Coroutine[Any, Any, _T]) -> _T:
    """Do ``work`` to its end also when the caller is cancelled, which then happens after it, ``UNBROKEN_S`` at most.

    A statement that is cut off takes its connection with it, and the driver logs that as an error: a relay that is
    told to stop has none.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=UNBROKEN_S)
        if not task.cancel() and not task.cancelled():
            task.exception()  # seen: the caller has gone
        raise


class RevisionProbe:
    """Tells whether the register changed since the last look, whoever changed it, at the cost of a statement or two."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: AsyncConnection | None = None
        self._commits: int | None = None
        self._revision = -1

    async def revision(self) -> int:
        """A number that changes with the register. Raises ``StoreUnavailable``."""
        async with failures_named("the database cannot be read"):
            try:
                return await self._look()
            except SQLAlchemyError:
                await self.close()
                raise

    async def _look(self) -> int:
        if self._connection is None:
            engine = self._database.engine.execution_options(isolation_level="AUTOCOMMIT")
            self._connection = await engine.connect()
            self._commits = None
        if self._database.is_sqlite:  # which tells cheaper still whether anybody committed anything at all
            commits = (await self._connection.exec_driver_sql("PRAGMA data_version")).scalar_one()
            if commits == self._commits:
                return self._revision
            self._commits = commits
        found = await self._connection.exec_driver_sql("SELECT register_revision FROM relay")
        self._revision = int(found.scalar_one())
        return self._revision

    async def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
