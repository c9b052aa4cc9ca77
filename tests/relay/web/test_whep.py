"""WHEP for players that nobody here wrote: waiting or not, as they prefer, and what the endpoint itself answers."""

from __future__ import annotations

import pytest

from tests.relay.web.recording_engine import OFFER
from tests.relay.web.served import Served

SDP = {"Content-Type": "application/sdp"}
UNKNOWN_LINK = "A" * 22


async def test_a_player_waits_for_a_publisher_unless_it_prefers_not_to(relay: Served) -> None:
    whep = f"{relay.url}/whep/{relay.link}"
    async with relay.http.post(whep, data=OFFER, headers=SDP) as response:
        assert response.status == 201
        assert "Preference-Applied" not in response.headers

    strict = SDP | {"Prefer": 'respond-async, handling = "strict"; x=1'}
    sessions = len(relay.engine.channels)
    async with relay.http.post(whep, data=OFFER, headers=strict) as response:
        assert (response.status, await response.text()) == (409, "nobody publishes to this class now\n")
        assert int(response.headers["Retry-After"]) > 0
    assert len(relay.engine.channels) == sessions

    relay.engine.measure(relay.class_id, publisher="kit")
    async with relay.http.post(whep, data=OFFER, headers=strict) as response:
        assert response.status == 201
        assert response.headers["Preference-Applied"] == "handling=strict"


@pytest.mark.parametrize("preference", ["handling=lenient", "wait=5", "handling", "strict", ""])
async def test_other_preferences_change_nothing(relay: Served, preference: str) -> None:
    headers = SDP | {"Prefer": preference}
    async with relay.http.post(f"{relay.url}/whep/{relay.link}", data=OFFER, headers=headers) as response:
        assert response.status == 201


async def test_the_endpoint_has_no_representation(relay: Served) -> None:
    async with relay.http.get(f"{relay.url}/whep/{relay.link}") as response:
        assert (response.status, await response.read()) == (200, b"")
    async with relay.http.get(f"{relay.url}/whep/{UNKNOWN_LINK}") as response:
        assert response.status == 404
