"""WHIP's client side (RFC 9725): what it sends, what it follows, and what it makes of each answer."""

from __future__ import annotations

import socket
from email.utils import formatdate
from time import time

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from appliance.errors import KitError, RelayRefused, RelayUnreachable
from appliance.stream.ask import MAX_ANSWER_BYTES, MAX_RETRY_AFTER_S, RelayBusy, Request, ask
from appliance.stream.whip import WhipAnswer, WhipClient
from tests.appliance.stream.web_server import CountingBearer, Handler, WebServer, web_server

LESSON_ID = "01" * 16
ACCEPTED = {"Location": "/whip/abc", "ETag": '"v1"'}


def _answering(**settings: object) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(**settings)  # type: ignore[arg-type]

    return handle


def _accepting(**settings: object) -> Handler:
    return _answering(
        **({"status": 201, "text": "v=0", "content_type": "application/sdp", "headers": ACCEPTED} | settings)
    )


def _client(server: WebServer, bearer: CountingBearer | None = None, **settings: frozenset[str]) -> WhipClient:
    return WhipClient(f"{server.url}/whip", bearer or CountingBearer(), server.http, lesson_id=LESSON_ID, **settings)


async def _refused(handle: Handler, bearer: CountingBearer | None = None) -> KitError:
    async with web_server(handle) as server:
        with pytest.raises(KitError) as caught:
            await _client(server, bearer).publish("v=0")
        return caught.value


async def test_an_offer_is_posted_with_a_token_for_exactly_that() -> None:
    async with web_server(_accepting()) as server:
        answer = await _client(server).publish("v=0\r\noffer")
        assert answer == WhipAnswer(sdp="v=0", resource=URL(f"{server.url}/whip/abc"), etag='"v1"')
        (asked,) = server.asked
        assert (asked.method, asked.body, asked.token) == ("POST", b"v=0\r\noffer", f"POST /whip {LESSON_ID} 1")
        assert asked.headers["Content-Type"] == "application/sdp", "LiveKit takes exactly this, without a charset"


@pytest.mark.parametrize(
    ("location", "resource"),
    [("abc", "/abc"), ("/whip/abc", "/whip/abc"), ("?id=7", "/whip?id=7")],
)
async def test_a_relative_location_is_resolved(location: str, resource: str) -> None:
    async with web_server(_accepting(headers={"Location": location})) as server:
        answer = await _client(server).publish("v=0")
        assert str(answer.resource) == server.url + resource
        assert answer.etag is None


async def test_a_server_that_forgets_its_location_still_publishes() -> None:
    async with web_server(_accepting(headers={})) as server:
        client = _client(server)
        answer = await client.publish("v=0")
        assert answer.resource is None
        await client.delete(answer.resource)
        assert len(server.asked) == 1


async def test_links_of_any_relation_change_nothing() -> None:
    links = '<stun:stun.example.net>; rel="ice-server", <https://example.net>; rel="urn:x"'
    async with web_server(_accepting(headers=ACCEPTED | {"Link": links})) as server:
        assert (await _client(server).publish("v=0")).sdp == "v=0"


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_is_followed_with_a_token_for_the_new_path(status: int) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path == "/whip":
            return web.Response(status=status, headers={"Location": "/elsewhere/whip"})
        return web.Response(status=201, text="v=0", content_type="application/sdp", headers={"Location": "x"})

    async with web_server(handle) as server:
        answer = await _client(server).publish("v=0 offer")
        assert answer.resource == URL(f"{server.url}/elsewhere/x"), "relative to where the answer came from"
        assert [asked.token for asked in server.asked] == [
            f"POST /whip {LESSON_ID} 1",
            f"POST /elsewhere/whip {LESSON_ID} 2",
        ]
        assert server.asked[1].body == b"v=0 offer"


@pytest.mark.parametrize("trusted", [False, True])
async def test_another_host_sees_the_token_only_if_it_is_trusted(trusted: bool) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.url.host == "127.0.0.1":
            return web.Response(status=307, headers={"Location": f"http://localhost:{request.url.port}/other"})
        return web.Response(status=201, text="v=0", content_type="application/sdp", headers={"Location": "/other/1"})

    async with web_server(handle) as server:
        client = _client(server, trusted_hosts=frozenset({"localhost"}) if trusted else frozenset())
        answer = await client.publish("v=0")
        await client.delete(answer.resource)
        assert [asked.token is not None for asked in server.asked] == [True, trusted, trusted]


async def test_a_redirect_to_a_weaker_scheme_or_nowhere_is_refused() -> None:
    for location in ("ftp://127.0.0.1/whip", "http://", ""):
        error = await _refused(_answering(status=307, headers={"Location": location}))
        assert isinstance(error, RelayRefused), location
        assert "redirected" in str(error)


async def test_a_secure_endpoint_never_redirects_its_token_to_the_open_wire() -> None:
    from appliance.stream.ask import trusts

    secure = URL("https://relay.example/whip")
    assert not trusts(URL("http://relay.example/whip"), secure, frozenset())
    assert trusts(URL("https://relay.example:8443/x"), secure, frozenset())
    assert not trusts(URL("https://other.example/whip"), secure, frozenset())
    assert trusts(URL("https://other.example/whip"), secure, frozenset({"other.example"}))


async def test_a_loop_of_redirects_ends() -> None:
    error = await _refused(_answering(status=307, headers={"Location": "/whip"}))
    assert isinstance(error, RelayRefused)
    assert "too often" in str(error)


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_other_redirects_are_not_followed(status: int) -> None:
    async with web_server(_answering(status=status, headers={"Location": "/other"})) as server:
        with pytest.raises(RelayRefused):
            await _client(server).publish("v=0")
        assert len(server.asked) == 1


async def test_a_401_is_retried_once_when_the_clock_was_wrong() -> None:
    async def handle(request: web.Request) -> web.Response:
        late = request.headers["Authorization"].endswith(" 1")
        return web.Response(status=401) if late else await _accepting()(request)  # type: ignore[return-value]

    bearer = CountingBearer(learns=True)
    async with web_server(handle) as server:
        await _client(server, bearer).publish("v=0")
        assert bearer.minted == 2
        assert bearer.dates[0].endswith("GMT")


@pytest.mark.parametrize("learns", [False, True])
async def test_a_401_that_stays_is_a_refusal(learns: bool) -> None:
    bearer = CountingBearer(learns=learns)
    error = await _refused(_answering(status=401, text="unknown kit"), bearer)
    assert isinstance(error, RelayRefused)
    assert str(error) == "the relay answered 401: unknown kit"
    assert bearer.minted == (2 if learns else 1)


@pytest.mark.parametrize("status", [409, 429, 503])
@pytest.mark.parametrize(
    ("retry_after", "wait_s"),
    [("7", 7.0), ("0", 0.0), ("999999", MAX_RETRY_AFTER_S), ("soon", None), ("-3", None), (None, None)],
)
async def test_a_busy_relay_says_when_to_ask_again(status: int, retry_after: str | None, wait_s: float | None) -> None:
    headers = {"Retry-After": retry_after} if retry_after is not None else {}
    error = await _refused(_answering(status=status, headers=headers))
    assert isinstance(error, RelayBusy)
    assert (error.status, error.retry_after_s) == (status, wait_s)


async def test_retry_after_may_be_a_date() -> None:
    error = await _refused(_answering(status=503, headers={"Retry-After": formatdate(time() + 30, usegmt=True)}))
    assert isinstance(error, RelayBusy)
    assert error.retry_after_s == pytest.approx(30, abs=2)


@pytest.mark.parametrize(
    ("status", "kind"),
    [*((status, RelayRefused) for status in (200, 400, 404, 418)), (500, RelayUnreachable), (599, RelayUnreachable)],
)
async def test_any_other_status_is_read_by_its_class(status: int, kind: type[KitError]) -> None:
    assert type(await _refused(_answering(status=status))) is kind


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"text": "no H.264 in the offer\nat all"}, "no H.264 in the offer"),
        ({"text": '{"error": "x", "reason": "no room"}', "content_type": "application/json"}, "no room"),
        ({"text": "[1]", "content_type": "application/json"}, "no reason given"),
        ({"text": "<h1>nginx</h1>", "content_type": "text/html"}, "no reason given"),
        ({"text": "x" * 5000}, "x" * 200),
    ],
    ids=["text", "json", "other json", "html", "long"],
)
async def test_the_relays_reason_is_one_line(settings: dict[str, object], reason: str) -> None:
    error = await _refused(_answering(status=422, **settings))
    assert str(error) == f"the relay answered 422: {reason}"


async def test_an_answer_that_is_no_sdp_is_refused() -> None:
    error = await _refused(_accepting(content_type="text/html"))
    assert "answered no application/sdp" in str(error)


async def test_an_endless_answer_is_cut() -> None:
    async with web_server(_answering(text="x" * (MAX_ANSWER_BYTES * 4))) as server:
        reply = await ask(server.http, Request(method="GET", url=URL(server.url)))
        assert len(reply.body) == MAX_ANSWER_BYTES


async def test_a_relay_that_is_not_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with aiohttp.ClientSession() as http:
        for url in (f"http://127.0.0.1:{port}/whip", "http://relay.invalid/whip"):
            with pytest.raises(RelayUnreachable, match="cannot be reached"):
                await WhipClient(url, CountingBearer(), http).publish("v=0")


async def test_a_relay_that_does_not_answer_is_given_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with aiohttp.ClientSession() as http:
            url = URL(f"http://127.0.0.1:{silent.getsockname()[1]}/")
            with pytest.raises(RelayUnreachable, match="does not answer"):
                await ask(http, Request(method="GET", url=url), answer_s=0.1)


@pytest.mark.parametrize("status", [200, 204, 404, 410, 405, 500])
async def test_a_delete_never_raises(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="appliance.stream.whip")
    async with web_server(_answering(status=status)) as server:
        await _client(server).delete(URL(f"{server.url}/whip/abc"))
        assert [(asked.method, asked.token) for asked in server.asked] == [
            ("DELETE", f"DELETE /whip/abc {LESSON_ID} 1")
        ]
    assert bool(caplog.records) == (status in {405, 500})


async def test_a_delete_at_a_dead_relay_never_raises() -> None:
    async with aiohttp.ClientSession() as http:
        await WhipClient("http://relay.invalid/whip", CountingBearer(), http).delete(URL("http://relay.invalid/1"))
