"""TURN servers for whom UDP is blocked: who is told of them, and with credentials for how long.

That coturn takes these credentials is shown in ``tests/network``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from relay.web.ice_servers import IceServers
from tests.conformance.endpoint import Reply, links
from tests.relay.web.recording_engine import OFFER
from tests.relay.web.served import Served, served

SECRET = b"a secret of the relay and coturn"
URLS = ("turns:turn.example:443?transport=tcp", "turn:[2001:db8::1]:3478?transport=udp")
SDP = {"Content-Type": "application/sdp"}
LIFETIME_S = 3600


@pytest.fixture
async def turning(tmp_path: Path) -> AsyncIterator[Served]:
    """A relay that has TURN servers."""
    async with served(tmp_path, IceServers(URLS, SECRET, LIFETIME_S)) as relay:
        yield relay


def told(response: aiohttp.ClientResponse) -> list[tuple[str, dict[str, str]]]:
    return links(Reply(response.status, response.headers, "", response.url))


async def test_a_pupil_is_told_the_servers_with_credentials_that_end(turning: Served) -> None:
    async with turning.http.post(f"{turning.url}/whep/{turning.link}", data=OFFER, headers=SDP) as response:
        found = told(response)
    assert [url for url, _ in found] == list(URLS)
    now_unix_s = turning.clock().unix_ms / 1000
    for _, parameters in found:
        ends, _, name = parameters["username"].partition(":")
        assert now_unix_s + LIFETIME_S - 10 < int(ends) <= now_unix_s + LIFETIME_S
        assert name
        expected = hmac.new(SECRET, parameters["username"].encode(), hashlib.sha1).digest()
        assert base64.b64decode(parameters["credential"]) == expected
        assert (parameters["rel"], parameters["credential-type"]) == ("ice-server", "password")


async def test_each_session_has_credentials_of_its_own_which_name_nobody(turning: Served) -> None:
    names = set()
    for _ in range(3):
        async with turning.http.post(f"{turning.url}/whep/{turning.link}", data=OFFER, headers=SDP) as response:
            names.add(told(response)[0][1]["username"].partition(":")[2])
    assert len(names) == 3
    assert not any(turning.link in name or turning.class_id in name for name in names)


async def test_a_publisher_is_told_them_too(turning: Served) -> None:
    issued = await turning.stream_key()
    bearer = {"Authorization": f"Bearer {issued.secret}"}
    async with turning.http.post(f"{turning.url}/whip", data=OFFER, headers=SDP | bearer) as response:
        assert response.status == 201
        assert len(told(response)) == 2


@pytest.mark.parametrize(
    ("headers", "count"), [({}, 2), ({"Access-Control-Request-Method": "POST", "Origin": "https://x.example"}, 0)]
)
async def test_a_player_may_ask_for_them_before_its_offer(turning: Served, headers: dict[str, str], count: int) -> None:
    """A browser's preflight is no such question (RFC 9725 §4.6)."""
    async with turning.http.options(f"{turning.url}/whep/{turning.link}", headers=headers) as response:
        assert response.status == 204
        assert response.headers["Accept-Post"] == "application/sdp"
        assert len(told(response)) == count


async def test_strangers_get_no_credentials(turning: Served) -> None:
    asked = [("OPTIONS", "/whip"), ("POST", "/whip"), ("OPTIONS", "/whep/" + "A" * 22), ("POST", "/whep/" + "A" * 22)]
    for method, path in asked:
        body = OFFER if method == "POST" else None
        async with turning.http.request(method, turning.url + path, data=body, headers=SDP) as response:
            assert "Link" not in response.headers


async def test_a_refused_offer_gets_none(turning: Served) -> None:
    async with turning.http.post(f"{turning.url}/whep/{turning.link}", data=b"\xff", headers=SDP) as response:
        assert response.status == 400
        assert "Link" not in response.headers


async def test_a_relay_without_turn_servers_names_nobody(relay: Served) -> None:
    async with relay.http.post(f"{relay.url}/whep/{relay.link}", data=OFFER, headers=SDP) as response:
        assert response.status == 201
        assert "Link" not in response.headers


def test_the_secret_is_not_shown_where_settings_are() -> None:
    assert "secret of" not in repr(IceServers(URLS, SECRET, LIFETIME_S))
