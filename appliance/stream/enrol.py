"""Makes a kit known to a relay, once: the short code that a person typed for the kit's public key.

Not here: the key and where the result is kept (``identity.py``).
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import msgspec
from yarl import URL

from appliance.errors import RelayRefused, RelayUnreachable
from appliance.identity import Credentials, Identity, digest_of
from appliance.settings import RelaySection
from appliance.stream.ask import Request, ask
from appliance.stream.way import Way
from appliance.version import software_version

_CODE_REFUSED = (
    "the enrolment code is unknown, used or expired; make a new one with 'parta-relay kit enrol-code' and put it into "
    "relay.enrol_code"
)


class _Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """The relay's answer, ``docs/protocol.md``. Fields of a newer relay are ignored."""

    kit_id: str
    relay_id: str
    school: str
    room: str
    class_name: str
    class_path: str


async def enrol(
    http: aiohttp.ClientSession, relay_url: str, code: str, identity: Identity, *, software: str
) -> Credentials:
    """Enrol this kit. Raises ``RelayRefused`` for a code that does not hold, ``RelayBusy`` when the relay wants it
    slower, ``RelayUnreachable``."""
    body = msgspec.json.encode({"code": code.strip(), "public_key": identity.public_key, "software": software})
    url = URL(relay_url) / "api/enrol"
    reply = await ask(http, Request(method="POST", url=url, body=body, headers={"Content-Type": "application/json"}))
    if reply.status == 403:
        raise RelayRefused(403, _CODE_REFUSED)
    if reply.status != 201:
        raise reply.refusal()
    try:
        enrolled = msgspec.json.decode(reply.body, type=_Enrolled)
    except msgspec.DecodeError as error:
        raise RelayUnreachable(f"{url} does not answer like a relay: {error}; check relay.url") from error
    return Credentials(relay_url=relay_url, code_digest=digest_of(code), **msgspec.structs.asdict(enrolled))


async def enrol_now(relay: RelaySection, code: str, state_dir: Path) -> Credentials:
    """Enrol at a relay, once, and keep what it said. Raises a ``KitError``."""
    identity = await asyncio.to_thread(Identity.load_or_create, state_dir)
    async with Way(relay.proxy, relay.ca_file).session() as http:
        found = await enrol(http, relay.url, code, identity, software=f"parta-kit {software_version()}")
    await asyncio.to_thread(found.save, state_dir)
    return found
