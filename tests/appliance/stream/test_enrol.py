"""Enrolment: a code for a place in a class, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from appliance.errors import RelayRefused, RelayUnreachable
from appliance.identity import Credentials, Identity, digest_of
from appliance.stream.ask import RelayBusy
from appliance.stream.enrol import enrol
from tests.appliance.stream.web_server import Handler, web_server

ENROLLED = {
    "kit_id": "ab" * 16,
    "relay_id": "ef" * 16,
    "school": "Средняя школа № 5",
    "room": "Кабинет 12",
    "class_name": "7Б",
    "class_path": "/c/AAAAAAAAAAAAAAAAAAAAAA",
}


def _answering(status: int, body: Any, **settings: Any) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return web.json_response(body, status=status, **settings)

    return handle


async def test_a_code_gives_the_kit_its_place(tmp_path: Path) -> None:
    identity = Identity.load_or_create(tmp_path)
    async with web_server(_answering(201, ENROLLED | {"of_a_newer_relay": 1})) as server:
        credentials = await enrol(server.http, server.url, " 7K4-PQX \n", identity, software="parta-kit 0.1.0")
        assert credentials == Credentials(relay_url=server.url, code_digest=digest_of("7K4-PQX"), **ENROLLED)
        (asked,) = server.asked
        assert (asked.method, asked.url) == ("POST", f"{server.url}/api/enrol")
        sent = {"code": "7K4-PQX", "public_key": identity.public_key, "software": "parta-kit 0.1.0"}
        assert json.loads(asked.body) == sent
        assert asked.headers["Content-Type"] == "application/json"


async def test_a_code_that_does_not_hold_says_how_to_get_another(tmp_path: Path) -> None:
    async with web_server(_answering(403, {"error": "code", "reason": "no"})) as server:
        with pytest.raises(RelayRefused, match=r"unknown, used or expired; make a new one with .*kit enrol-code"):
            await enrol(server.http, server.url, "x", Identity.load_or_create(tmp_path), software="t")


async def test_too_many_tries_are_told_to_wait(tmp_path: Path) -> None:
    async with web_server(_answering(429, {"error": "slow"}, headers={"Retry-After": "30"})) as server:
        with pytest.raises(RelayBusy) as caught:
            await enrol(server.http, server.url, "x", Identity.load_or_create(tmp_path), software="t")
        assert caught.value.retry_after_s == 30


async def test_an_address_that_is_no_relay_is_named(tmp_path: Path) -> None:
    async with web_server(_answering(201, {"hello": "world"})) as server:
        with pytest.raises(RelayUnreachable, match=r"/api/enrol does not answer like a relay: .*; check relay\.url"):
            await enrol(server.http, server.url, "x", Identity.load_or_create(tmp_path), software="t")
