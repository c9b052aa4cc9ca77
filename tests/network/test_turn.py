"""A pupil whose network lets no UDP through arrives by TURN over TLS: real Chromium, real coturn, a real firewall."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aioice import stun, turn

from relay.web.ice_servers import credentials
from tests.browser.chromium import chromium, chromium_path, pupil, until_new_frames, until_state
from tests.network.coturn import SECRET, URL, Coturn, coturn
from tests.network.namespaces import SCHOOL, missing, school_and_home
from tests.running import FoundedSchool, running_school

WHY_NOT = missing("nft", "turnserver")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

PAST_UNIX_S = 1_700_000_000


async def test_where_udp_is_blocked_a_pupil_sees_the_lesson_by_turn_over_tls(
    tmp_path: Path, founded_school: FoundedSchool
) -> None:
    secret = tmp_path / "turn.secret"
    secret.write_text(SECRET + "\n")
    more = f'[turn]\nurls = ["{URL}"]\nsecret_file = "{secret}"\n'
    with school_and_home() as net:
        net.block_udp()
        async with (
            coturn(tmp_path) as server,
            running_school(tmp_path, founded_school, advertise=(SCHOOL,), host=SCHOOL, more=more) as school,
            chromium(
                f"--ignore-certificate-errors-spki-list={server.key_hash}",
                path=net.at_home(chromium_path(), tmp_path),
            ) as browser,
        ):
            page = await pupil(browser, school.class_url)
            await school.kit.press("start")
            pictures = await until_new_frames(page, 20)
            assert pictures[-1]["capture_us"] > pictures[0]["capture_us"]
            await until_state(page, "live")

            way = await page.evaluate("lessonProbe.way()")
            assert (way["candidateType"], way["relayProtocol"]) == ("relay", "tls")
            assert net.dropped() > 0, "it has tried the straight way, too"


@asynccontextmanager
async def allocation(server: Coturn, username: str, password: str) -> AsyncIterator[Any]:
    """A TURN client that has a place on the server. Raises ``TransactionFailed``."""
    transport, _ = await turn.create_turn_endpoint(
        asyncio.DatagramProtocol,
        server_addr=(SCHOOL, 443),
        username=username,
        password=password,
        ssl=server.tls(),
        transport="tcp",
    )
    client = transport._TurnTransport__inner_protocol  # type: ignore[attr-defined]
    try:
        yield client
    finally:
        await client.delete()


def code(refused: pytest.ExceptionInfo[stun.TransactionFailed]) -> int:
    """The error code of a refusal."""
    return int(refused.value.response.attributes["ERROR-CODE"][0])


async def test_coturn_takes_the_relays_credentials_until_they_end_and_no_others(tmp_path: Path) -> None:
    soon = int(time.time()) + 60
    with school_and_home():
        async with coturn(tmp_path) as server:
            async with allocation(server, *credentials(SECRET.encode(), soon, "a")):
                pass
            for secret, ends in ((b"another secret", soon), (SECRET.encode(), PAST_UNIX_S)):
                with pytest.raises(stun.TransactionFailed) as refused:
                    async with allocation(server, *credentials(secret, ends, "a")):
                        pass
                assert code(refused) == 401


async def test_coturn_leads_to_the_relay_and_nowhere_else(tmp_path: Path) -> None:
    """It must not become a way into the school's network."""
    soon = int(time.time()) + 60
    with school_and_home():
        async with coturn(tmp_path) as server, allocation(server, *credentials(SECRET.encode(), soon, "a")) as client:
            await client.channel_bind(0x4000, (SCHOOL, 8443))
            for place, elsewhere in enumerate(("10.77.1.2", "10.77.1.1", "127.0.0.1", "192.0.2.1"), 0x4001):
                with pytest.raises(stun.TransactionFailed) as refused:
                    await client.channel_bind(place, (elsewhere, 8443))
                assert code(refused) == 403
