"""Does a WHIP client keep RFC 9725? ``python -m tests.conformance.whip_client [--trickles S] COMMAND {url} {token}``

The command has to publish to ``{url}`` with the bearer ``{token}`` until its standard input ends. It is run a few times
(``client_stage.py``), and each duty is read from what the server was asked meanwhile.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.appliance.stream.whip_server import Asked
from tests.conformance.client_stage import RETRY_AFTER_S, TOKEN, CommandClient, Scene, Stage
from tests.conformance.duties import NotOffered, Suite, main, need
from tests.conformance.endpoint import FRAGMENT, SDP, Answer

whip_client = Suite[Stage]()

MOST_POSTS = 5  # within WATCH_S, after an answer that says no: more is hammering
EARLY_S = 0.05  # the client's clock starts when it has read the answer


async def _offer(stage: Stage) -> Answer:
    """The first offer."""
    posts = (await stage.plain()).of("POST")
    need(posts, "it never POSTed")
    return Answer(posts[0].body)


def _lines(offer: Answer, line: str) -> bool:
    return all(line in section for section in offer.sections)


@whip_client.duty("post", "§4.2", "it POSTs an SDP offer as application/sdp")
async def _post(stage: Stage) -> None:
    offer = await _offer(stage)
    need(offer.text.startswith("v=0") and offer.sections, "the body is no SDP with media")
    media_type = stage.scenes["plain"].of("POST")[0].headers.get("Content-Type", "")
    need(media_type.partition(";")[0].strip().lower() == SDP, f"the type is {media_type!r}")


@whip_client.duty("connects", "§4.2", "the answer leads to a connected session")
async def _connects(stage: Stage) -> None:
    need((await stage.plain()).connected, "it never connected")


@whip_client.duty("offer-direction", "§4.2", "its media are sendonly, or sendrecv")
async def _direction(stage: Stage) -> None:
    offer = await _offer(stage)
    for section in offer.sections:
        need({"a=sendonly", "a=sendrecv"} & set(section), f"{section[0]} is neither")


@whip_client.duty("offer-setup", "§4.4.4", "its DTLS role is actpass, or active if it can do nothing else")
async def _setup(stage: Stage) -> None:
    roles = {role.strip() for role in (await _offer(stage)).values("setup")}
    need(roles and roles <= {"actpass", "active"}, f"a=setup is {sorted(roles)}")


@whip_client.duty("offer-bundle", "§4.4.1", "all of its m-lines are in one bundle")
async def _bundle(stage: Stage) -> None:
    offer = await _offer(stage)
    mids = {mid.strip() for mid in offer.values("mid")}
    need(len(mids) == len(offer.sections), "an m-line has no a=mid of its own")
    groups = [set(line.split()[1:]) for line in offer.session if line.startswith("a=group:BUNDLE")]
    need(groups == [mids], f"the bundle groups are {groups}, the mids {sorted(mids)}")


@whip_client.duty("offer-rtcp-mux-only", "§4.4.1", "each m-line has rtcp-mux and rtcp-mux-only")
async def _mux(stage: Stage) -> None:
    offer = await _offer(stage)
    for line in ("a=rtcp-mux", "a=rtcp-mux-only"):
        need(_lines(offer, line), f"{line} is missing")


@whip_client.duty("offer-single-stream", "§4.4.2", "its tracks are of one MediaStream, one of each kind at most")
async def _stream(stage: Stage) -> None:
    offer = await _offer(stage)
    kinds = [section[0].split()[0] for section in offer.sections]
    need(len(kinds) == len(set(kinds)), f"the m-lines are {kinds}")
    streams = [value.split()[0] for value in offer.values("msid") if value.strip()]
    need(len(streams) >= len(kinds) and len(set(streams)) == 1, f"the streams are {sorted(set(streams))}")


@whip_client.duty("bearer", "§4.7", "every request carries the bearer token")
async def _bearer(stage: Stage) -> None:
    for asked in (await stage.plain()).asked:
        need(_token(asked) == TOKEN, f"{asked.method} {asked.path} did not")


def _token(asked: Asked) -> str:
    return asked.headers.get("Authorization", "").removeprefix("Bearer ")


@whip_client.duty("delete", "§4.2", "it DELETEs its session when it stops, without If-Match")
async def _delete(stage: Stage) -> None:
    deletes = (await stage.plain()).of("DELETE")
    need(deletes, "it did not")
    need("If-Match" not in deletes[0].headers, "it sent If-Match")


@whip_client.duty("location-relative", "§4.2", "a relative Location is resolved against the endpoint")
async def _relative(stage: Stage) -> None:
    _need_deleted(await stage.plain(), "/sessions/1")


@whip_client.duty("location-absolute", "§4.2", "an absolute Location is where the session is")
async def _absolute(stage: Stage) -> None:
    _need_deleted(await stage.absolute(), "/elsewhere/1")


def _need_deleted(scene: Scene, path: str) -> None:
    paths = [asked.path for asked in scene.of("DELETE")]
    need(paths, "there was no DELETE")
    need(set(paths) == {path}, f"it went to {paths}, not {path}")


@whip_client.duty("candidates-buffered", "§4.3.2", "candidates go by PATCH to the session, with its ETag")
async def _candidates(stage: Stage) -> None:
    scene = await stage.plain()
    patches = scene.of("PATCH")
    if not patches:
        raise NotOffered("it does not trickle")
    first_patch, first_post = scene.asked.index(patches[0]), scene.asked.index(scene.of("POST")[0])
    need(first_patch > first_post, "they went before the offer")
    for asked in patches:
        need(asked.path == "/sessions/1", f"they went to {asked.path}")
        need(asked.headers.get("If-Match") == '"one"', f"If-Match was {asked.headers.get('If-Match')!r}")
        need(asked.headers.get("Content-Type") == FRAGMENT, f"the type was {asked.headers.get('Content-Type')!r}")


@whip_client.duty("links-ignored", "§4.9", "a Link of an unknown relation changes nothing")
async def _links(stage: Stage) -> None:
    scene = await stage.plain()
    strange = [asked.path for asked in scene.asked if asked.path not in ("/whip", "/sessions/1")]
    need(scene.connected and not strange, f"it did not connect, or asked {strange}")


@whip_client.duty("redirect", "§4.5", "a 307 is followed with the offer and the token")
async def _redirected(stage: Stage) -> None:
    scene = await stage.redirected()
    moved = [asked for asked in scene.of("POST") if asked.path == "/moved"]
    need(moved, "it was not followed")
    need(moved[0].body.startswith("v=0"), "the offer was lost on the way")
    need(_token(moved[0]) == TOKEN, "the token was lost on the way")
    need(scene.connected, "it did not connect")


@whip_client.duty("redirect-token", "§5", "another host, which nobody trusts, does not get to see the token")
async def _sent_away(stage: Stage) -> None:
    away = [asked for asked in (await stage.sent_away()).asked if asked.path != "/whip"]
    if not away:
        raise NotOffered("it does not follow to another host")
    need(all(not _token(asked) for asked in away), "it does")


async def _busy(stage: Stage, status: int) -> None:
    posts = (await stage.busy(status)).of("POST")
    need(posts, "it never POSTed")
    if len(posts) < 2:
        raise NotOffered("it gives up")
    waited_s = posts[1].at_s - posts[0].at_s
    need(
        waited_s >= RETRY_AFTER_S - EARLY_S, f"it was asked to wait {RETRY_AFTER_S} s, and came after {waited_s:.2f} s"
    )


@whip_client.duty("busy-503", "§4.5", "after a 503 it waits as long as Retry-After says")
async def _unavailable(stage: Stage) -> None:
    await _busy(stage, 503)


@whip_client.duty("busy-409", "§4.1", "after a 409 it waits as long as Retry-After says")
async def _conflict(stage: Stage) -> None:
    await _busy(stage, 409)


@whip_client.duty("unknown-status", "§4.1", "a status that it does not know is taken by its class, calmly")
async def _odd(stage: Stage) -> None:
    for status in (418, 499, 599):
        scene = await stage.odd(status)
        posts = scene.of("POST")
        need(1 <= len(posts) <= MOST_POSTS, f"after {status} it POSTed {len(posts)} times within a second")
        others = [asked.method for asked in scene.asked if asked.method != "POST"]
        need(not others, f"after {status}, which made no session, it sent {others}")


def run(arguments: Sequence[str]) -> int:
    """As a program."""
    parser = argparse.ArgumentParser(description="RFC 9725's client duties")
    parser.add_argument("--trickles", type=float, default=0.0, metavar="S", help="wait so long for trickled candidates")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what publishes to {url} with {token}")
    options = parser.parse_args(arguments)
    if not any("{url}" in word for word in options.command):
        parser.error("COMMAND has to hold {url}")
    return main(whip_client.run(Stage(CommandClient(options.command), options.trickles)))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
