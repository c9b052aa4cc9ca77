"""Does a WHEP server keep draft-ietf-wish-whep? ``python -m tests.conformance.whep_server URL [--token TOKEN]``

As ``whip_server.py``, with what playing has of its own: waiting for a publisher, 409, and the counter-offer.
"""

from __future__ import annotations

import sys

from tests.conformance.duties import NotOffered, Suite, main, need
from tests.conformance.endpoint import SDP, Endpoint, Session, first_line
from tests.conformance.ice_duties import ice
from tests.conformance.offers import UNHEARD_OF, Offer
from tests.conformance.setup_duties import setup
from tests.conformance.whip_server import ask_server, options_of

whep_server: Suite[Endpoint] = Suite(setup, ice)


@whep_server.duty("single-stream", "§4.4.2", "all m-lines of the answer are of one MediaStream")
async def _single_stream(server: Endpoint) -> None:
    async with server.session() as session:
        streams = [value.split()[0] for value in session.answer.values("msid") if value.strip()]
        need(len(streams) >= len(session.answer.sections), "an m-line has no a=msid")
        need(len(set(streams)) == 1, f"the streams are {sorted(set(streams))}")


@whep_server.duty("no-publisher", "§4.2", "without a publisher the player may wait, or is told 409 and when to come")
async def _no_publisher(server: Endpoint) -> None:
    offer = Offer("recvonly")
    reply = await server.refused(offer)
    if reply.status != 201:
        need(reply.status == 409, f"the POST was answered {reply.status}: {first_line(reply)}")
        need(reply.headers.get("Retry-After", "").strip(), "no Retry-After")


@whep_server.duty("conflict-on-request", "RFC 7240", "who prefers handling=strict is told 409 instead of waiting")
async def _strict(server: Endpoint) -> None:
    offer = Offer("recvonly")
    reply = await server.post(offer.sdp(), {"Prefer": "handling=strict"})
    if reply.status == 201:
        await Session(server, offer, reply).end()
        raise NotOffered("it waits, or there is a publisher")
    need(reply.status == 409, f"the POST was answered {reply.status}")
    need(reply.headers.get("Retry-After", "").strip(), "no Retry-After")


@whep_server.duty("counter-offer", "§4.2.2", "a counter-offer is a 406 with an offer and a Location")
async def _counter_offer(server: Endpoint) -> None:
    offer = Offer("recvonly", video=UNHEARD_OF)
    reply = await server.post(offer.sdp())
    if reply.status != 406 or reply.media_type != SDP:
        raise NotOffered(f"what cannot be taken is answered {reply.status}: {first_line(reply)}")
    need("Location" in reply.headers, "no Location")
    await Session(server, offer, reply).end()
    need("a=setup:actpass" in reply.body or "a=setup:active" in reply.body, "the body is no offer")


if __name__ == "__main__":
    options = options_of(sys.argv[1:], "the WHEP draft's server duties", whep_server)
    sys.exit(main(ask_server(whep_server, "recvonly", options)))
