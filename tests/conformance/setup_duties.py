"""What a WHIP or WHEP server owes when a session is set up: RFC 9725 §4.1 to §4.2 and §4.4 to §4.7.

The WHEP draft has the same sections in the same words; where the two differ, the suites say so themselves.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from tests.conformance.duties import Broken, NotOffered, Suite, need
from tests.conformance.endpoint import SDP, Endpoint, Session, first_line, links
from tests.conformance.offers import UNHEARD_OF, Offer

setup = Suite[Endpoint]()


@setup.duty("post-created", "§4.2", "an offer is answered 201 with an SDP answer")
async def _post_created(server: Endpoint) -> None:
    async with server.session() as session:
        need(session.reply.media_type == SDP, f"the answer is {session.reply.media_type or 'of no type'}, not {SDP}")
        need(session.reply.body.startswith("v=0"), "the body is no SDP")


@setup.duty("location", "§4.2", "the 201 has a Location, which is the session")
async def _location(server: Endpoint) -> None:
    async with server.session() as session:
        need(session.resource != server.url, "Location is the endpoint itself")
        looked = await session.look()
        need(looked.status < 400, f"GET of the Location is answered {looked.status}")


@setup.duty("content-type", "§4.2", "a POST that is not application/sdp is refused with a 4xx")
async def _content_type(server: Endpoint) -> None:
    offer = Offer(server.direction)
    reply = await server.ask("POST", None, offer.sdp(), {"Content-Type": "text/plain"})
    if reply.status == 201:
        await Session(server, offer, reply).end()
    need(400 <= reply.status < 500, f"it was answered {reply.status}")


@setup.duty("malformed", "§4.2", "malformed SDP is refused with a 4xx")
async def _malformed(server: Endpoint) -> None:
    for body in ("", "hello", "v=0\r\nnonsense\r\n", '{"type": "offer"}'):
        reply = await server.post(body)
        need(400 <= reply.status < 500, f"{body[:20]!r} was answered {reply.status}")


@setup.duty("get", "§4.1", "GET of endpoint and session is answered 2xx with no content")
async def _get(server: Endpoint) -> None:
    async with server.session() as session:
        for name, reply in (("the endpoint", await server.ask("GET")), ("the session", await session.look())):
            need(200 <= reply.status < 300, f"{name} answers {reply.status}")
            need(not reply.body, f"{name} answers with content")


@setup.duty("cors-preflight", "§4.1", "OPTIONS lets a browser POST from another origin, and says what to POST")
async def _preflight(server: Endpoint) -> None:
    asked = {
        "Origin": "https://conformance.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    reply = await server.ask("OPTIONS", headers=asked, bearer=False)
    need(200 <= reply.status < 300, f"it was answered {reply.status}")
    origin = reply.headers.get("Access-Control-Allow-Origin", "")
    need(origin in ("*", asked["Origin"]), f"Access-Control-Allow-Origin is {origin!r}")
    need("post" in reply.listed("Access-Control-Allow-Methods"), "POST is not in Access-Control-Allow-Methods")
    allowed = reply.listed("Access-Control-Allow-Headers")
    need({"authorization", "content-type"} <= allowed or "*" in allowed, f"the allowed headers are {sorted(allowed)}")


@setup.duty("accept-post", "§4.1", "OPTIONS says Accept-Post: application/sdp", "should")
async def _accept_post(server: Endpoint) -> None:
    reply = await server.ask("OPTIONS", bearer=False)
    need(SDP in reply.listed("Accept-Post"), f"Accept-Post is {reply.headers.get('Accept-Post')!r}")


@setup.duty("cors-exposed", "§4.1", "a browser may read Location, ETag and Link of the 201", "should")
async def _exposed(server: Endpoint) -> None:
    offer = Offer(server.direction)
    reply = await server.post(offer.sdp(), {"Origin": "https://conformance.example"})
    need(reply.status == 201, f"the POST was answered {reply.status}: {first_line(reply)}")
    await Session(server, offer, reply).end()
    if "Access-Control-Allow-Origin" not in reply.headers:
        raise NotOffered("no CORS on the 201")
    missing = {"location", "etag", "link"} - reply.listed("Access-Control-Expose-Headers")
    need(not missing, f"not exposed: {', '.join(sorted(missing))}")


@setup.duty("answer-bundle", "§4.4.1", "the answer has the offer's m-lines, all in one bundle")
async def _bundle(server: Endpoint) -> None:
    async with server.session() as session:
        sections = session.answer.sections
        kinds = [section[0].split()[0] for section in sections]
        need(kinds == ["m=audio", "m=video"], f"the m-lines are {kinds}")
        mids = [mid.strip() for mid in session.answer.values("mid")]
        need(mids == session.offer.mids, f"the mids are {mids}, not {session.offer.mids}")
        groups = [line.split()[1:] for line in session.answer.session if line.startswith("a=group:BUNDLE")]
        need(len(groups) == 1 and set(groups[0]) == set(mids), f"the bundle groups are {groups}")


@setup.duty("bundle-only", "§4.4.1", "an offer with max-bundle's bundle-only m-line at port 0 is taken")
async def _bundle_only(server: Endpoint) -> None:
    async with server.session(Offer(server.direction, bundle_only=True)) as session:
        _need_whole(session)


@setup.duty("answer-rtcp-mux", "§4.4.1", "each m-line of the answer has rtcp-mux")
async def _rtcp_mux(server: Endpoint) -> None:
    async with server.session() as session:
        need(all("a=rtcp-mux" in section for section in session.answer.sections), "a=rtcp-mux is missing")


@setup.duty("answer-rtcp-mux-only", "§4.4.1", "each m-line of the answer has rtcp-mux-only")
async def _rtcp_mux_only(server: Endpoint) -> None:
    async with server.session() as session:
        need(all("a=rtcp-mux-only" in section for section in session.answer.sections), "a=rtcp-mux-only is missing")


@setup.duty("answer-direction", "§4.2", "the answer goes the one way that the protocol has")
async def _direction(server: Endpoint) -> None:
    wanted = {"sendonly": "a=recvonly", "recvonly": "a=sendonly"}[server.direction]
    async with server.session() as session:
        need(all(wanted in section for section in session.answer.sections), f"{wanted} is missing")


@setup.duty("answer-setup", "§4.4.4", "the answer chooses a DTLS role")
async def _role(server: Endpoint) -> None:
    async with server.session() as session:
        roles = {role.strip() for role in session.answer.values("setup")}
        need(roles and roles <= {"active", "passive"}, f"a=setup is {sorted(roles)}")


@setup.duty("offer-active", "§4.4.4", "a client that can only be active is answered passive, or refused")
async def _active(server: Endpoint) -> None:
    offer = Offer(server.direction, setup="active")
    reply = await server.refused(offer)
    if reply.status != 201:
        need(400 <= reply.status < 500, f"it was answered {reply.status}")
        return
    roles = {role.strip() for role in Session(server, offer, reply).answer.values("setup")}
    need(roles == {"passive"}, f"a=setup is {sorted(roles)}")


@setup.duty("answer-candidates", "§4.3", "the answer holds candidates, and one of them answers ICE checks")
async def _candidates(server: Endpoint) -> None:
    async with server.session() as session:
        need(session.answer.addresses, "no UDP candidate")
        need(await session.answers(), f"none of {len(session.answer.addresses)} candidates answers")


@setup.duty("never-partly", "§4.4.3", "an offer of which one m-line cannot be taken is refused whole")
async def _never_partly(server: Endpoint) -> None:
    reply = await server.refused(Offer(server.direction, video=UNHEARD_OF))
    need(reply.status != 201, "it was answered 201")
    need(400 <= reply.status < 500, f"it was answered {reply.status}")


@setup.duty("two-videos", "§4.4.2", "an offer of two pictures is taken whole or refused whole")
async def _two_videos(server: Endpoint) -> None:
    offer = Offer(server.direction, videos=2)
    reply = await server.refused(offer)
    if reply.status == 201:
        _need_whole(Session(server, offer, reply))
    else:
        need(400 <= reply.status < 500, f"it was answered {reply.status}")


def _need_whole(session: Session) -> None:
    for section in session.answer.sections:
        off = section[0].split()[1] == "0" and "a=bundle-only" not in section
        need(not off and "a=inactive" not in section, f"refused in the answer: {section[0]}")


@setup.duty("redirect", "§4.5", "a redirect of the POST is a 307")
async def _redirect(server: Endpoint) -> None:
    offer = Offer(server.direction)
    reply = await server.ask("POST", None, offer.sdp(), {"Content-Type": SDP})
    if reply.status == 201:
        await Session(server, offer, reply).end()
    if not 300 <= reply.status < 400:
        raise NotOffered("it does not redirect")
    need(reply.status == 307, f"it redirects with {reply.status}")
    need("Location" in reply.headers, "no Location")


@setup.duty("overload", "§4.5", "a server that is full says 503, and when to come again")
async def _overload(server: Endpoint) -> None:
    if not server.most_sessions:
        raise NotOffered("not tried; --most-sessions says how many may be opened")
    opened: list[Session] = []
    try:
        for _ in range(server.most_sessions):
            offer = Offer(server.direction)
            reply = await server.post(offer.sdp())
            if reply.status == 201:
                opened.append(Session(server, offer, reply))
                continue
            need(reply.status == 503, f"after {len(opened)} sessions it says {reply.status}: {first_line(reply)}")
            need(reply.headers.get("Retry-After", "").strip(), "no Retry-After")
            return
        raise NotOffered(f"{len(opened)} sessions did not fill it")
    finally:
        for session in opened:
            await session.end()


@setup.duty("ice-servers", "§4.6", "ICE servers are told by Link, with what their kind needs")
async def _ice_servers(server: Endpoint) -> None:
    async with server.session() as session:
        found = [item for item in links(session.reply) if item[1].get("rel") == "ice-server"]
    if not found:
        raise NotOffered("no Link with rel=ice-server")
    for target, parameters in found:
        scheme = urlsplit(target).scheme
        need(scheme in ("stun", "stuns", "turn", "turns"), f"{target} is no ICE server")
        if scheme.startswith("turn"):
            need(parameters.get("username") and parameters.get("credential"), f"{target} comes without credentials")
            kind = parameters.get("credential-type", "password")
            need(kind == "password", f"the credential of {target} is of the unknown kind {kind}")


@setup.duty("bearer", "§4.7", "who comes without the token is answered 401 with WWW-Authenticate")
async def _bearer(server: Endpoint) -> None:
    if server.token is None:
        raise NotOffered("no token was given")
    offer = Offer(server.direction)
    reply = await server.post(offer.sdp(), bearer=False)
    if reply.status == 201:
        await Session(server, offer, reply).end()
        raise Broken("the POST without a token was answered 201")
    need(reply.status == 401, f"the POST was answered {reply.status}")
    need("bearer" in reply.headers.get("WWW-Authenticate", "").lower(), "no WWW-Authenticate: Bearer")
    async with server.session() as session:
        for method in ("PATCH", "DELETE"):
            asked = await server.ask(method, session.resource, bearer=False)
            need(asked.status == 401, f"{method} of the session without a token was answered {asked.status}")
