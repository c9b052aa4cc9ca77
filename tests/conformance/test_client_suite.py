"""Our kit keeps every duty of a WHIP client, and the suite that says so notices each duty that is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.appliance.stream.whip_server import Asked
from tests.conformance.client_stage import Scene, Stage
from tests.conformance.duties import Verdict
from tests.conformance.kit_client import KitClient
from tests.conformance.whip_client import whip_client

KIT = Stage(KitClient())  # its scenes are run once, and read by every test here


async def test_the_kit_keeps_every_duty_that_it_offers() -> None:
    results = await whip_client.run(KIT)
    assert [result.line() for result in results if result.verdict is Verdict.FAIL] == []
    offered = {result.key for result in results if result.verdict is Verdict.PASS}
    # All candidates are in its offer: there is nothing to buffer.
    assert offered == set(whip_client.keys) - {"candidates-buffered"}


Spoil = Callable[[Asked], Asked | None]


def offers(old: str, new: str) -> Spoil:
    """A client whose offers say something else."""
    return lambda asked: replace(asked, body=asked.body.replace(old, new))


def sends(method: str, **headers: str | None) -> Spoil:
    """A client whose requests of this method have these headers; ``None``: not."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}

    def spoil(asked: Asked) -> Asked:
        if asked.method != method:
            return asked
        kept = {name: value for name, value in asked.headers.items() if name not in names}
        return replace(asked, headers=kept | {name: value for name, value in names.items() if value is not None})

    return spoil


def never(method: str, path: str = "") -> Spoil:
    """A client that does not send this."""
    return lambda asked: None if asked.method == method and asked.path.startswith(path) else asked


def everything_to(path: str) -> Spoil:
    """A client that takes the session to be somewhere else."""
    return lambda asked: asked if asked.method == "POST" else replace(asked, path=path)


def at_once(asked: Asked) -> Asked:
    return replace(asked, at_s=0.0)


def trickles_too_early(asked: Asked) -> Asked:
    return replace(asked, method="PATCH", path="/whip") if asked.method == "DELETE" else asked


SPOILT: dict[str, Spoil] = {
    "post": sends("POST", Content_Type="text/plain"),
    "offer-direction": offers("a=sendonly", "a=recvonly"),
    "offer-setup": offers("a=setup:actpass", "a=setup:passive"),
    "offer-bundle": offers("a=group:BUNDLE 0 1", "a=group:BUNDLE 0"),
    "offer-rtcp-mux-only": offers("a=rtcp-mux-only", "a=x"),
    "offer-single-stream": offers("m=audio", "m=video"),
    "bearer": sends("DELETE", Authorization=None),
    "delete": never("DELETE"),
    "location-relative": everything_to("/whip/sessions/1"),
    "location-absolute": everything_to("/sessions/1"),
    "candidates-buffered": trickles_too_early,
    "links-ignored": everything_to("/x"),
    "redirect": never("POST", "/moved"),
    "redirect-token": sends("POST", Authorization="Bearer conformance-token"),
    "busy-503": at_once,
    "busy-409": at_once,
}


def spoilt(scene: Scene, spoil: Spoil) -> Scene:
    """What the server would have seen of a client that does this wrong."""
    return replace(scene, asked=[seen for asked in scene.asked if (seen := spoil(asked)) is not None])


@pytest.mark.parametrize("key", SPOILT)
async def test_the_suite_notices_a_duty_that_is_broken(key: str) -> None:
    await whip_client.run(KIT)
    wrong = replace(KIT, scenes={name: spoilt(scene, SPOILT[key]) for name, scene in KIT.scenes.items()})
    (result,) = await whip_client.run(wrong, [key])
    assert result.verdict is Verdict.FAIL, result.line()


@pytest.mark.parametrize(("key", "name"), [("connects", "plain"), ("unknown-status", "odd 599")])
async def test_the_suite_notices_a_client_that_fails_or_hammers(key: str, name: str) -> None:
    await whip_client.run(KIT)
    scene = KIT.scenes[name]
    wrong = replace(scene, connected=False, asked=scene.asked * 20)
    (result,) = await whip_client.run(replace(KIT, scenes=KIT.scenes | {name: wrong}), [key])
    assert result.verdict is Verdict.FAIL, result.line()


def test_every_duty_is_seen_broken() -> None:
    assert {*SPOILT, "connects", "unknown-status"} == set(whip_client.keys)
