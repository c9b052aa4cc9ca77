"""A kit enrols: a code becomes a public key that is trusted. Used by ``relay/web/enrol.py``.

The same kit may ask again with its code (its answer got lost on the way) and gets the same answer; for any other key
the code is used up. A kit that enrols with a new code moves to that code's room and keeps its id.
"""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from relay.classroom.links import code_digest, new_id, plain_code
from relay.errors import CodeRefused
from relay.store.database import Database
from relay.store.models import EnrolCodeRow, KitRow, RelayRow

MAX_SOFTWARE = 200


class Enrolment:
    """See the module."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def enrol(self, code: str, public_key: bytes, software: str, now_unix_ms: int) -> str:
        """The kit's id. Raises ``CodeRefused``, ``StoreUnavailable``."""
        plain = plain_code(code)
        if plain is None:
            raise CodeRefused("this code does not open anything")
        async with self._database.writing() as session:
            relay = await session.get_one(RelayRow, 1)
            row = await session.get(EnrolCodeRow, code_digest(plain, relay.relay_id), with_for_update=True)
            if row is None or now_unix_ms >= row.expires_unix_ms:
                raise CodeRefused("this code does not open anything")
            kit = await session.scalar(select(KitRow).where(KitRow.public_key == public_key))
            if row.used_by_kit_id is not None:
                if kit is None or kit.kit_id != row.used_by_kit_id or kit.revoked_unix_ms is not None:
                    raise CodeRefused("this code does not open anything")
                return kit.kit_id
            kit_id = await self._take_in(session, kit, row, public_key, software[:MAX_SOFTWARE], now_unix_ms)
            row.used_by_kit_id = kit_id
            return kit_id

    async def _take_in(
        self,
        session: AsyncSession,
        kit: KitRow | None,
        code: EnrolCodeRow,
        public_key: bytes,
        software: str,
        now_unix_ms: int,
    ) -> str:
        if kit is None:
            kit = KitRow(kit_id=new_id(), public_key=public_key, revoked_unix_ms=None)
            session.add(kit)
        kit.room_id, kit.software, kit.enrolled_unix_ms = code.room_id, software, now_unix_ms
        kit.revoked_unix_ms = None
        await session.flush()  # the code's row refers to it
        return kit.kit_id


async def forget_used_codes(database: Database, before_unix_ms: int) -> None:
    """Drop codes that expired before this moment. Raises ``StoreUnavailable``."""
    async with database.writing() as session:
        await session.execute(delete(EnrolCodeRow).where(EnrolCodeRow.expires_unix_ms < before_unix_ms))
