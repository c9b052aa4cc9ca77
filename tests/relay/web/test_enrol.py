"""``POST /api/enrol``"""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.relay.web.served import Served, public_key


async def enrol(relay: Served, **body: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
    asked = {"code": "AAAA-AAAA", "public_key": public_key(Ed25519PrivateKey.generate()), "software": "test"} | body
    async with relay.http.post(f"{relay.url}/api/enrol", json=asked) as response:
        return response.status, await response.json(), dict(response.headers)


async def test_a_kit_is_taken_in_and_told_whom_it_teaches(relay: Served) -> None:
    status, body, _ = await enrol(relay, code=await relay.code())
    assert status == 201
    told = {name: body[name] for name in ("school", "room", "class_name", "class_path")}
    assert told == {"school": "Школа № 7", "room": "12", "class_name": "7Б", "class_path": f"/c/{relay.link}"}
    assert body["relay_id"] == relay.relay.registers.latest.relay_id


@pytest.mark.parametrize("shift_s", [0.0, 7200.0])
async def test_a_code_that_is_used_or_expired_or_unknown_gets_one_answer(relay: Served, shift_s: float) -> None:
    code = await relay.code()
    relay.clock.shift_s = shift_s
    if not shift_s:
        await enrol(relay, code=code)
    refused = await enrol(relay, code=code)
    unknown = await enrol(relay)
    assert refused[:2] == unknown[:2]
    assert refused[:2] == (403, {"error": "code_refused", "reason": "this code does not open anything"})


async def test_who_guesses_waits_and_is_told_how_long(relay: Served) -> None:
    good = await relay.code()
    for _ in range(3):
        assert (await enrol(relay))[0] == 403
    status, body, headers = await enrol(relay, code=good)
    assert (status, body["error"]) == (429, "too_many_tries")
    assert 1 <= int(headers["Retry-After"]) <= 10
    relay.clock.shift_s = 11
    assert (await enrol(relay, code=good))[0] == 201


async def test_fifty_kits_behind_one_router_enrol_at_once(relay: Served) -> None:
    for _ in range(50):
        assert (await enrol(relay, code=await relay.code()))[0] == 201


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"", 400, "not an enrolment"),
        (b"not json", 400, "not an enrolment"),
        (b"[" * 4000, 400, "not an enrolment"),
        (b'{"code": 5}', 400, "not an enrolment"),
        (b'{"code": "A", "public_key": "!"}', 400, "public_key: not base64url"),
        (b'{"code": "A", "public_key": "AAAA"}', 400, "public_key: 3 bytes"),
        (b"x" * 4097, 413, "larger than 4096 bytes"),
    ],
)
async def test_what_cannot_be_read_is_refused_in_one_line(relay: Served, body: bytes, status: int, told: str) -> None:
    headers = {"Content-Type": "application/json"}
    async with relay.http.post(f"{relay.url}/api/enrol", data=body, headers=headers) as response:
        assert response.status == status
        answer = await response.json()
    assert told in answer["reason"]
    assert "\n" not in answer["reason"]


async def test_another_method_or_content_type_is_refused(relay: Served) -> None:
    async with relay.http.get(f"{relay.url}/api/enrol") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
    async with relay.http.post(f"{relay.url}/api/enrol", data=b"{}") as response:
        assert response.status == 415
