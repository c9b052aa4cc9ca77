"""WHIP: who may publish, and what every kind of request gets (RFC 9725)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from relay.errors import ChannelBusy, EngineFull, FragmentRejected, OfferRejected, RelayError
from tests.relay.web.recording_engine import ANSWER, OFFER
from tests.relay.web.served import LESSON, Served, TokenKit

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


async def post(relay: Served, headers: dict[str, str], body: Any = OFFER) -> aiohttp.ClientResponse:
    async with relay.http.post(f"{relay.url}/whip", data=body, headers=headers) as response:
        await response.read()
        return response


async def ask(
    relay: Served, kit: TokenKit, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None
) -> aiohttp.ClientResponse:
    sent = kit.bearer(method, path) | (headers or {})
    async with relay.http.request(method, relay.url + path, headers=sent, data=body) as response:
        await response.read()
        return response


@pytest.fixture
async def session(relay: Served, kit: TokenKit) -> str:
    response = await post(relay, kit.bearer("POST", "/whip") | SDP)
    assert response.status == 201
    return response.headers["Location"]


async def test_a_kit_publishes_to_the_class_of_its_room(relay: Served, kit: TokenKit) -> None:
    response = await post(relay, kit.bearer("POST", "/whip") | SDP)
    assert response.status == 201
    assert response.content_type == "application/sdp"
    assert await response.text() == ANSWER
    assert response.headers["ETag"] == '"first"'
    assert response.headers["Location"] == "/whip/session0"
    assert "Link" not in response.headers
    assert relay.engine.publishers == {relay.class_id: (kit.kit_id, "session0")}
    assert relay.relay.live.class_state(relay.class_id).state == "live"


Bad = Callable[[TokenKit], dict[str, str]]
ANOTHER_KEY = Ed25519PrivateKey.generate()


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (lambda _: {}, 'Bearer realm="parta"'),
        (lambda _: {"Authorization": "Basic eDp5"}, 'Bearer realm="parta"'),
        (lambda _: {"Authorization": "Bearer"}, 'Bearer realm="parta"'),
        (lambda _: {"Authorization": "Bearer nonsense"}, "malformed token"),
        (lambda _: {"Authorization": "Bearer " + "x" * 5000}, "malformed token"),
        (lambda _: {"Authorization": "Bearer parta_nosuchkey"}, "this stream key does not open anything"),
        (lambda kit: kit.bearer("POST", "/whip", key=ANOTHER_KEY), "token does not verify"),
        (lambda kit: kit.bearer("POST", "/whip", kit_id="0" * 32), "unknown kit"),
        (lambda kit: kit.bearer("POST", "/whip", relay_id="0" * 32), "token is for another relay"),
        (lambda kit: kit.bearer("POST", "/whip", now_unix_s=1_700_000_000), "token has expired"),
        (lambda kit: kit.bearer("POST", "/whip", now_unix_s=9_999_999_999), "token is from the future"),
        (lambda kit: kit.bearer("GET", "/control"), "token is for another request"),
        (lambda kit: kit.bearer("POST", "/whip", lesson_id=None), "token names no lesson"),
    ],
)
async def test_without_a_bearer_that_holds_nothing_is_allocated(
    relay: Served, kit: TokenKit, headers: Bad, told: str
) -> None:
    response = await post(relay, headers(kit) | SDP)
    assert response.status == 401
    assert told in response.headers["WWW-Authenticate"]
    assert "Date" in response.headers, "a kit corrects its clock by it"
    assert relay.engine.channels == {}
    assert relay.relay.live.running_lessons() == []


async def test_a_token_is_good_once(relay: Served, kit: TokenKit) -> None:
    headers = kit.bearer("POST", "/whip") | SDP
    assert (await post(relay, headers)).status == 201
    response = await post(relay, headers)
    assert response.status == 401
    assert "token was used before" in response.headers["WWW-Authenticate"]


async def test_a_revoked_kit_is_not_known_any_more(relay: Served, kit: TokenKit) -> None:
    await relay.office.revoke(kit.kit_id, relay.clock().unix_ms)
    assert (await post(relay, kit.bearer("POST", "/whip") | SDP)).status == 401


async def test_a_foreign_publisher_comes_with_a_stream_key(relay: Served) -> None:
    issued = await relay.stream_key()
    bearer = {"Authorization": f"Bearer {issued.secret}"}
    response = await post(relay, bearer | SDP)
    assert response.status == 201
    assert relay.relay.live.class_state(relay.class_id).state == "live"
    location = relay.url + response.headers["Location"]
    async with relay.http.delete(location, headers=bearer) as ended:
        assert ended.status == 200
    assert relay.relay.live.class_state(relay.class_id).state == "over"


@pytest.mark.parametrize(
    ("method", "headers", "body", "status"),
    [
        ("POST", {"Content-Type": "application/json"}, OFFER, 415),
        ("POST", {}, None, 415),
        ("POST", SDP, b"x" * (64 * 1024 + 1), 413),
        ("POST", SDP, b"\xff\xfe", 400),
        ("PUT", SDP, OFFER, 405),
        ("DELETE", {}, None, 405),
    ],
)
async def test_a_request_of_the_wrong_kind_is_refused_and_nothing_allocated(
    relay: Served, kit: TokenKit, method: str, headers: dict[str, str], body: Any, status: int
) -> None:
    response = await ask(relay, kit, method, "/whip", headers, body)
    assert response.status == status
    assert response.content_type == "text/plain"
    assert (await response.text()).count("\n") == 1
    assert relay.engine.channels == {}
    if status == 405:
        assert response.headers["Allow"] == "GET,HEAD,OPTIONS,POST"
    if status == 415:
        assert response.headers["Accept-Post"] == "application/sdp"


async def test_a_body_without_a_length_is_cut_off_at_the_limit(relay: Served, kit: TokenKit) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 64 * 1024 * 1024:
            sent += 16 * 1024
            yield b"x" * 16 * 1024

    try:
        response = await post(relay, kit.bearer("POST", "/whip") | SDP, endless())
        assert response.status == 413
    except aiohttp.ClientConnectionError:
        pass  # cut off before it could read the answer
    assert sent < 32 * 1024 * 1024


@pytest.mark.parametrize(
    ("error", "retry"),
    [
        (OfferRejected(400, "not SDP"), False),
        (OfferRejected(406, "no H.264"), False),
        (OfferRejected(422, "two video tracks"), False),
        (ChannelBusy("another kit is live"), True),
        (EngineFull("full"), True),
    ],
)
async def test_what_the_engine_refuses_is_told_and_begins_no_lesson(
    relay: Served, kit: TokenKit, error: RelayError, retry: bool
) -> None:
    relay.engine.refuse = error
    response = await post(relay, kit.bearer("POST", "/whip") | SDP)
    assert response.status == error.status
    assert await response.text() == f"{error}\n"
    assert ("Retry-After" in response.headers) == retry
    assert relay.relay.live.running_lessons() == []


async def test_a_sessions_resource_answers_and_ends(relay: Served, kit: TokenKit, session: str) -> None:
    looked = await ask(relay, kit, "GET", session)
    assert (looked.status, looked.content_length) == (200, 0)
    ended = await ask(relay, kit, "DELETE", session, {"If-Match": '"stale"'})
    assert ended.status == 200
    assert relay.engine.channels == {}
    assert (await ask(relay, kit, "DELETE", session)).status == 404
    assert (await ask(relay, kit, "POST", session, SDP, OFFER)).status == 405


async def test_a_session_is_its_own_publishers_alone(relay: Served, kit: TokenKit, session: str) -> None:
    other = await relay.kit()
    for method in ("GET", "DELETE"):
        assert (await ask(relay, other, method, session)).status == 404
        async with relay.http.request(method, relay.url + session) as response:
            assert response.status == 401
    patched = await ask(relay, other, "PATCH", session, FRAGMENT | {"If-Match": '"first"'}, "a=x")
    assert patched.status == 404
    assert "session0" in relay.engine.channels


async def test_a_viewers_session_cannot_be_reached_through_whip(relay: Served, kit: TokenKit) -> None:
    async with relay.http.post(f"{relay.url}/whep/{relay.link}", data=OFFER, headers=SDP) as response:
        viewer = response.headers["Location"].rpartition("/")[2]
    assert (await ask(relay, kit, "DELETE", f"/whip/{viewer}")).status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (FRAGMENT | {"If-Match": '"first"'}, 204),
        (FRAGMENT | {"If-Match": '"other", "first"'}, 204),
        (FRAGMENT | {"If-Match": "*"}, 204),
        (FRAGMENT | {"If-Match": '"*"'}, 204),
        (FRAGMENT, 428),
        (FRAGMENT | {"If-Match": '"stale"'}, 412),
        (FRAGMENT | {"If-Match": "first"}, 412),
        (FRAGMENT | {"If-Match": 'W/"first"'}, 412),
        (SDP | {"If-Match": '"first"'}, 415),
    ],
)
async def test_trickled_candidates_need_the_sessions_etag(
    relay: Served, kit: TokenKit, session: str, headers: dict[str, str], status: int
) -> None:
    response = await ask(relay, kit, "PATCH", session, headers, "a=candidate:x")
    assert response.status == status
    assert relay.engine.fragments == (["a=candidate:x"] if status == 204 else [])


async def test_an_ice_restart_gets_new_credentials_and_a_new_etag(relay: Served, kit: TokenKit, session: str) -> None:
    relay.engine.fragment_answer = "a=ice-ufrag:new\r\n"
    response = await ask(relay, kit, "PATCH", session, FRAGMENT | {"If-Match": "*"}, "a=ice-ufrag:x")
    assert response.status == 200
    assert response.headers["ETag"] == '"second"'
    assert response.content_type == "application/trickle-ice-sdpfrag"
    assert await response.text() == "a=ice-ufrag:new\r\n"


async def test_a_fragment_that_is_none_leaves_the_session_as_it_was(relay: Served, kit: TokenKit, session: str) -> None:
    relay.engine.refuse = FragmentRejected("no fragment")
    response = await ask(relay, kit, "PATCH", session, FRAGMENT | {"If-Match": '"first"'}, "nonsense")
    assert response.status == 422
    assert "session0" in relay.engine.channels


@pytest.mark.parametrize("path", ["/whip", "/whip/session0", "/whep/anything", "/whep/anything/session0"])
async def test_options_tell_browsers_what_they_may(relay: Served, path: str) -> None:
    async with relay.http.options(relay.url + path) as response:
        assert response.status == 204
        assert response.headers["Accept-Post"] == "application/sdp"
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        exposed = response.headers["Access-Control-Expose-Headers"]
        assert all(name in exposed for name in ("Location", "ETag", "Link", "Accept-Post"))
        assert "Authorization" in response.headers["Access-Control-Allow-Headers"]


async def test_refusals_can_be_read_across_origins_too(relay: Served) -> None:
    response = await post(relay, SDP)
    assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_lesson_that_was_ended_by_the_school_is_not_taken_up_again(relay: Served, kit: TokenKit) -> None:
    await post(relay, kit.bearer("POST", "/whip") | SDP)
    await relay.log.flushed()
    await relay.office.end_lesson(LESSON, relay.clock().unix_ms)
    await relay.notice()
    assert relay.engine.publishers == {}
    response = await post(relay, kit.bearer("POST", "/whip") | SDP)
    assert (response.status, await response.text()) == (409, "this lesson was ended by the school\n")
