"""The relay keeps every duty of a WHIP and a WHEP server, and the suites that say so notice each one that is broken."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from relay.engines.embedded import engine as engine_module
from tests.conformance.duties import Result, Suite, Verdict, exit_code, told
from tests.conformance.endpoint import Endpoint
from tests.conformance.offers import Direction
from tests.conformance.small_server import MAX_SESSIONS, Spoil, small_server
from tests.conformance.whep_server import whep_server
from tests.conformance.whip_server import whip_server
from tests.running import FoundedSchool, free_ports, running_relay

NOT_OFFERED_BY_THE_RELAY = {
    "redirect",  # the relay answers itself
    "overload",  # tried below, on a smaller one
    "consent-expiry",  # tried below, with less patience
    "patch-unsupported",  # both trickle and restart are there
    "counter-offer",  # what cannot be taken is refused
}


def suite_of(key: str) -> tuple[Suite[Endpoint], Direction]:
    return (whip_server, "sendonly") if key in whip_server.keys else (whep_server, "recvonly")


def failed(results: list[Result]) -> list[str]:
    return [result.line() for result in results if result.verdict is Verdict.FAIL]


def not_offered(results: list[Result]) -> set[str]:
    return {result.key for result in results if result.verdict is Verdict.NOT_OFFERED}


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_relay_keeps_every_duty_that_it_offers(
    tmp_path: Path, founded_school: FoundedSchool, workers: int
) -> None:
    secret = tmp_path / "turn.secret"
    secret.write_text("a secret of relay and coturn")
    turn = f'[turn]\nurls = ["turns:turn.example:443?transport=tcp"]\nsecret_file = "{secret}"\n'
    more, media_port = f"workers = {workers}\n{turn}", free_ports(workers)
    async with running_relay(tmp_path / "relay", founded_school, media_port=media_port, more=more) as relay:
        whip = endpoint_at(relay.url + "/whip", "sendonly", founded_school.stream_key, relay.http)
        results = await whip_server.run(whip)
        assert failed(results) == []
        assert not_offered(results) == NOT_OFFERED_BY_THE_RELAY - {"counter-offer"}

        link = founded_school.class_path.replace("/c/", "/whep/")
        results = await whep_server.run(endpoint_at(relay.url + link, "recvonly", None, relay.http))
        assert failed(results) == []
        assert not_offered(results) == NOT_OFFERED_BY_THE_RELAY | {"bearer"}


def endpoint_at(url: str, direction: Direction, token: str | None, http: aiohttp.ClientSession) -> Endpoint:
    return Endpoint(url=URL(url), http=http, direction=direction, token=token)


BOTH = pytest.mark.parametrize(
    ("suite", "direction"), [(whip_server, "sendonly"), (whep_server, "recvonly")], ids=["whip", "whep"]
)


@BOTH
async def test_a_full_server_says_when_to_come_again(suite: Suite[Endpoint], direction: Direction) -> None:
    async with small_server(direction) as server:
        server = replace(server, most_sessions=MAX_SESSIONS + 1)
        (result,) = await suite.run(server, ["overload"])
        assert result.verdict is Verdict.PASS, result.line()


@BOTH
async def test_a_session_that_nobody_comes_for_is_freed(
    suite: Suite[Endpoint], direction: Direction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "HANDSHAKE_S", 0.5)
    async with small_server(direction) as server:
        (result,) = await suite.run(replace(server, patience_s=10.0), ["consent-expiry"])
        assert result.verdict is Verdict.PASS, result.line()


def on(method: str, spoil: Callable[[web.Response], object], *, status: int | None = None) -> Spoil:
    """Spoil the answers to this method, or those of them with this status."""

    def spoiling(request: web.Request, response: web.Response) -> web.Response:
        if request.method == method and status in (None, response.status):
            spoil(response)
        return response

    return spoiling


def says(status: int) -> Callable[[web.Response], object]:
    return lambda response: response.set_status(status)


def without(*names: str) -> Callable[[web.Response], object]:
    return lambda response: [response.headers.popall(name, None) for name in names]


def with_header(name: str, value: str) -> Callable[[web.Response], object]:
    return lambda response: response.headers.update({name: value})


def with_body(pattern: str, instead: str) -> Callable[[web.Response], object]:
    def change(response: web.Response) -> None:
        response.text = re.sub(pattern, instead, response.text or "")

    return change


def with_content(response: web.Response) -> None:
    response.text = "a page about this endpoint"


def spoilt_restart(response: web.Response) -> None:
    response.text = "a=ice-ufrag:nobody\r\na=ice-pwd:nobodyknowsthispassword000\r\n"


SPOILT: dict[str, Spoil] = {
    "post-created": on("POST", says(200), status=201),
    "location": on("POST", without("Location")),
    "content-type": on("POST", says(500), status=415),
    "malformed": on("POST", says(500), status=400),
    "get": on("GET", with_content),
    "cors-preflight": on("OPTIONS", without("Access-Control-Allow-Origin")),
    "accept-post": on("OPTIONS", without("Accept-Post")),
    "cors-exposed": on("POST", with_header("Access-Control-Expose-Headers", "Location, ETag")),
    "answer-bundle": on("POST", with_body(r"a=group:BUNDLE 0 1", "a=group:BUNDLE 0"), status=201),
    "bundle-only": on("POST", with_body(r"m=video \d+", "m=video 0"), status=201),
    "answer-rtcp-mux": on("POST", with_body(r"a=rtcp-mux\r\n", ""), status=201),
    "answer-rtcp-mux-only": on("POST", with_body(r"a=rtcp-mux-only\r\n", ""), status=201),
    "answer-direction": on("POST", with_body(r"a=(recvonly|sendonly)", "a=sendrecv"), status=201),
    "answer-setup": on("POST", with_body(r"a=setup:passive", "a=setup:actpass"), status=201),
    "offer-active": on("POST", with_body(r"a=setup:passive", "a=setup:active"), status=201),
    "answer-candidates": on("POST", with_body(r" \d+ typ host", " 9 typ host"), status=201),
    "never-partly": on("POST", says(201), status=406),
    "two-videos": on("POST", says(500), status=422),
    "redirect": on("POST", says(302), status=201),
    "overload": on("POST", without("Retry-After"), status=503),
    "ice-servers": on("POST", with_header("Link", '<turn:turn.example>; rel="ice-server"'), status=201),
    "bearer": on("POST", says(403), status=401),
    "etag-strong": on("POST", with_header("ETag", 'W/"1"'), status=201),
    "etag-unique": on("POST", with_header("ETag", '"1"'), status=201),
    "trickle": on("PATCH", says(200), status=204),
    "trickle-useless": on("PATCH", says(400), status=204),
    "if-match-missing": on("PATCH", says(204), status=428),
    "if-match-stale": on("PATCH", says(204), status=412),
    "patch-unsupported": on("PATCH", says(405), status=200),
    "restart": on("PATCH", without("ETag"), status=200),
    "restart-answers": on("PATCH", spoilt_restart, status=200),
    "restart-stales": on("PATCH", says(204), status=412),
    "restart-fails": on("PATCH", says(200), status=422),
    "delete": on("DELETE", says(200), status=404),
    "unknown-session": on("PATCH", says(204), status=404),
    "consent-expiry": on("GET", says(200)),
    "single-stream": on("POST", with_body(r"a=msid:\S+ (\S+video)", r"a=msid:another \1"), status=201),
    "no-publisher": on("POST", says(404), status=201),
    "conflict-on-request": on("POST", says(503), status=201),
    "counter-offer": on("POST", with_header("Content-Type", "application/sdp"), status=406),
}


@pytest.mark.parametrize("key", whep_server.keys)
async def test_a_suite_notices_a_duty_that_is_broken(key: str) -> None:
    suite, direction = suite_of(key)
    async with small_server(direction, SPOILT[key]) as server:
        server = replace(server, most_sessions=MAX_SESSIONS + 1, patience_s=0.5)
        (result,) = await suite.run(server, [key])
    assert result.verdict is Verdict.FAIL, result.line()
    assert exit_code([result]) == (result.level == "must")
    assert "1 fail" in told([result])


async def test_an_untouched_small_server_fails_nothing() -> None:
    """So that what the test above sees is the spoiling."""
    for key in ("post-created", "counter-offer"):
        suite, direction = suite_of(key)
        async with small_server(direction) as server:
            assert failed(await suite.run(server)) == []


async def test_the_suite_is_a_program_with_an_exit_code() -> None:
    async with small_server("sendonly") as server:
        for token, code, told_of in (("small-server", 0, b"pass        post-created"), ("wrong", 1, b"answered 401")):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.conformance.whip_server", str(server.url)),
                *("--token", token, "--only", "post-created"),
                stdout=asyncio.subprocess.PIPE,
            )
            output, _ = await process.communicate()
            assert process.returncode == code
            assert told_of in output
