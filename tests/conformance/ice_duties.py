"""What a WHIP or WHEP server owes a session that is there: trickle, ICE restart and its end (RFC 9725 §4.2, §4.3)."""

from __future__ import annotations

import asyncio

from tests.conformance.duties import NotOffered, Suite, need
from tests.conformance.endpoint import FRAGMENT, Answer, Endpoint, Reply, Session
from tests.conformance.offers import Credentials, restart, trickle

ice = Suite[Endpoint]()

UNSUPPORTED = (405, 422, 501)
LOOK_EVERY_S = 0.25


def _etag(session: Session) -> str:
    if not session.etag:
        raise NotOffered("no ETag: no ICE restart either")
    return session.etag


async def _trickled(session: Session, if_match: str | None, candidate: str | None = None) -> Reply:
    ours = session.offer.credentials
    return await session.patch(trickle(ours) if candidate is None else trickle(ours, candidate), if_match)


async def _need_trickle(session: Session) -> None:
    reply = await _trickled(session, _etag(session))
    if reply.status in UNSUPPORTED:
        raise NotOffered(f"a trickled candidate is answered {reply.status}")


async def _restarted(session: Session, fresh: Credentials) -> Reply:
    """An ICE restart that is granted. Raises ``NotOffered``."""
    reply = await session.patch(restart(fresh), "*")
    if reply.status in UNSUPPORTED:
        raise NotOffered(f"an ICE restart is answered {reply.status}")
    need(reply.status == 200, f"an ICE restart is answered {reply.status}")
    return reply


@ice.duty("etag-strong", "§4.3.1", "the 201's ETag is a strong one, quoted")
async def _strong(server: Endpoint) -> None:
    async with server.session() as session:
        etag = _etag(session)
        need(not etag.startswith("W/"), f"{etag} is weak")
        need(len(etag) > 2 and etag[0] == etag[-1] == '"' and '"' not in etag[1:-1], f"{etag} is not a quoted string")


@ice.duty("etag-unique", "§4.3.1", "two sessions have different ETags")
async def _unique(server: Endpoint) -> None:
    async with server.session() as first:
        before = _etag(first)
    async with server.session() as second:
        need(before != _etag(second), f"both are {before}")


@ice.duty("trickle", "§4.3.2", "trickled candidates are answered 204 without content")
async def _trickle(server: Endpoint) -> None:
    async with server.session() as session:
        await _need_trickle(session)
        reply = await _trickled(session, session.etag)
        need(reply.status == 204 and not reply.body, f"answered {reply.status}")


@ice.duty("trickle-useless", "§4.3.2", "candidates that the server cannot use are answered 204, too")
async def _useless(server: Endpoint) -> None:
    async with server.session() as session:
        await _need_trickle(session)
        for candidate in ("1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active", "2 1 udp 1 x.invalid 9 typ host"):
            reply = await _trickled(session, session.etag, candidate)
            need(reply.status == 204, f"{candidate} was answered {reply.status}")


@ice.duty("if-match-missing", "§4.3.1", "a PATCH without If-Match is answered 428", "should")
async def _missing(server: Endpoint) -> None:
    async with server.session() as session:
        await _need_trickle(session)
        reply = await _trickled(session, None)
        need(reply.status == 428, f"answered {reply.status}")


@ice.duty("if-match-stale", "§4.3.1", "a PATCH with another ETag is answered 412")
async def _stale(server: Endpoint) -> None:
    async with server.session() as session:
        await _need_trickle(session)
        reply = await _trickled(session, '"of-some-other-session"')
        need(reply.status == 412, f"answered {reply.status}")


@ice.duty("patch-unsupported", "§4.3.1", "where only one of trickle and restart is there, the other is answered 422")
async def _unsupported(server: Endpoint) -> None:
    async with server.session() as session:
        trickled = await _trickled(session, _etag(session))
        restarted = await session.patch(restart(Credentials()), "*")
        refused = [reply.status for reply in (trickled, restarted) if reply.status >= 400]
        if len(refused) != 1:
            raise NotOffered("both are there" if not refused else "none is there")
        need(refused == [422], f"it is answered {refused[0]}")


@ice.duty("restart", "§4.3.3", "an ICE restart is answered 200 with a fragment, new credentials and a new ETag")
async def _restart(server: Endpoint) -> None:
    async with server.session() as session:
        reply = await _restarted(session, Credentials())
        need(reply.media_type == FRAGMENT, f"the answer is {reply.media_type}")
        answer, before = Answer(reply.body), session.answer.credentials
        need(answer.credentials.ufrag != before.ufrag, "the user fragment is the old one")
        need(answer.credentials.password != before.password, "the password is the old one")
        etag = reply.headers.get("ETag", "")
        need(etag and etag != session.etag and not etag.startswith("W/"), f"the ETag is {etag!r} after {session.etag}")


@ice.duty("restart-answers", "§4.3.3", "after a restart, ICE checks with the new credentials are answered")
async def _restart_answers(server: Endpoint) -> None:
    async with server.session() as session:
        ours = Credentials()
        theirs = Answer((await _restarted(session, ours)).body).credentials
        need(await session.answers(theirs, ours), "they are not")


@ice.duty("restart-stales", "§4.3.3", "after a restart, the old ETag is answered 412 and the new one taken")
async def _restart_stales(server: Endpoint) -> None:
    async with server.session() as session:
        ours = Credentials()
        reply = await _restarted(session, ours)
        stale = await _trickled(session, session.etag)
        need(stale.status == 412, f"the old one was answered {stale.status}")
        fresh = await session.patch(trickle(ours), reply.headers.get("ETag"))
        need(fresh.status == 204 or fresh.status in UNSUPPORTED, f"the new one was answered {fresh.status}")


@ice.duty("restart-fails", "§4.3.3", "a restart that cannot be satisfied is refused, and the session goes on")
async def _restart_fails(server: Endpoint) -> None:
    async with server.session() as session:
        need(await session.answers(), "the session does not answer before it")
        reply = await session.patch("a=ice-ufrag:x\r\na=ice-pwd:short\r\n", "*")
        need(reply.status >= 400, f"it was answered {reply.status}")
        looked = await session.look()
        need(looked.status < 300, f"after it the session answers {looked.status}")
        need(await session.answers(), "after it ICE checks are not answered")


@ice.duty("delete", "§4.2", "DELETE ends the session, whatever If-Match says")
async def _delete(server: Endpoint) -> None:
    async with server.session() as session:
        reply = await session.end({"If-Match": '"stale"'})
        need(200 <= reply.status < 300, f"DELETE was answered {reply.status}")
        again = await session.end()
        need(400 <= again.status < 500, f"a second DELETE was answered {again.status}")
        need(not await session.answers(), "ICE checks are still answered")


@ice.duty("unknown-session", "§4.2", "a session that is not there is answered with a 4xx")
async def _unknown(server: Endpoint) -> None:
    async with server.session() as session:
        elsewhere = session.resource.parent / "no-such-session-0000"
        for method in ("PATCH", "DELETE"):
            headers = {"Content-Type": FRAGMENT, "If-Match": "*"} if method == "PATCH" else {}
            body = trickle(session.offer.credentials) if method == "PATCH" else None
            reply = await server.ask(method, elsewhere, body, headers)
            need(400 <= reply.status < 500, f"{method} was answered {reply.status}")
        need(await session.answers(), "and the session that is there is gone")


@ice.duty("consent-expiry", "§4.2", "a session whose client is silent is freed by itself")
async def _expiry(server: Endpoint) -> None:
    if not server.patience_s:
        raise NotOffered("not tried; --patience says how long to wait")
    async with server.session() as session:
        need(await session.answers(), "the session does not answer")
        try:
            async with asyncio.timeout(server.patience_s):
                while (await session.look()).status < 400:  # noqa: ASYNC110 - HTTP tells of no end
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            need(False, f"it was still there after {server.patience_s:g} s")
