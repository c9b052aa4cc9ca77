"""A viewer's own picture: what it is sent, and what it asks for (docs/protocol.md, "A viewer's picture")."""

from __future__ import annotations

import pytest

from tests.relay.web.recording_engine import OFFER
from tests.relay.web.served import Served

SDP = {"Content-Type": "application/sdp"}


async def session(relay: Served) -> str:
    """Where a new viewer's picture is."""
    async with relay.http.post(f"{relay.url}/whep/{relay.link}", data=OFFER, headers=SDP) as response:
        assert response.status == 201
        return f"{relay.url}{response.headers['Location']}/picture"


async def test_a_viewer_reads_what_it_is_sent_and_chooses(relay: Served) -> None:
    picture = await session(relay)
    async with relay.http.get(picture) as response:
        assert (response.status, await response.json()) == (200, {"chosen": "auto", "sent": "full"})
    async with relay.http.put(picture, json={"chosen": "slow", "later": 1}) as response:
        assert (response.status, await response.json()) == (200, {"chosen": "slow", "sent": "slow"})
    async with relay.http.get(picture) as response:
        assert await response.json() == {"chosen": "slow", "sent": "slow"}
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("body", [b"", b"slow", b"{}", b"[]", b'{"chosen": 1}', b'{"chosen": "best"}', b"\xff"])
async def test_what_is_no_choice_changes_nothing(relay: Served, body: bytes) -> None:
    picture = await session(relay)
    headers = {"Content-Type": "application/json"}
    async with relay.http.put(picture, data=body, headers=headers) as response:
        assert response.status == 400
        assert len((await response.text()).splitlines()) == 1
    assert relay.engine.chosen == {}


async def test_another_type_or_too_much_is_refused(relay: Served) -> None:
    picture = await session(relay)
    async with relay.http.put(picture, data=b"{}", headers=SDP) as response:
        assert response.status == 415
    async with relay.http.put(picture, data=bytes(2000), headers={"Content-Type": "application/json"}) as response:
        assert response.status == 413


async def test_a_session_is_chosen_for_only_through_its_own_class_link(relay: Served) -> None:
    picture = await session(relay)
    for wrong in (picture.replace(relay.link, "A" * 22), picture.replace("session", "other")):
        async with relay.http.put(wrong, json={"chosen": "voice"}) as response:
            assert response.status == 404
    assert relay.engine.chosen == {}


async def test_a_page_of_another_origin_may_choose(relay: Served) -> None:
    async with relay.http.options(await session(relay)) as response:
        assert response.status == 204
        assert "PUT" in response.headers["Access-Control-Allow-Methods"]
