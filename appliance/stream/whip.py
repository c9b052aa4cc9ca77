"""WHIP signalling (RFC 9725): one POST puts a session up, one DELETE takes it down.

The client's duties are here and in ``ask.py``; the offer comes from ``session.py``. Works with the relay and with any
other WHIP server. Link headers are ignored, ``ice-server`` included: a kit asks no third party. No trickle and no ICE
restart: all candidates are in the offer, and a session that lost its path is dialled anew.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import aiohttp
from yarl import URL

from appliance.errors import RelayRefused, RelayUnreachable
from appliance.stream.ask import CONNECT_S, Request, ask, trusts
from appliance.stream.bearer import Bearer

log = logging.getLogger(__name__)

#: For the DELETE: a courtesy that frees the relay's session early; it ends by itself too.
DELETE_S = 2.0

_SDP = "application/sdp"


@dataclass(frozen=True, slots=True, kw_only=True)
class WhipAnswer:
    """A session that the server accepted. ``resource`` is ``None`` where a server forgot its Location."""

    sdp: str
    resource: URL | None
    etag: str | None


class WhipClient:
    """Asks one WHIP endpoint, for one lesson."""

    def __init__(
        self,
        endpoint: str,
        bearer: Bearer,
        http: aiohttp.ClientSession,
        *,
        lesson_id: str | None = None,
        trusted_hosts: frozenset[str] = frozenset(),
    ) -> None:
        self._endpoint = URL(endpoint)
        self._bearer = bearer
        self._http = http
        self._lesson_id = lesson_id
        self._trusted_hosts = trusted_hosts

    async def publish(self, offer: str, *, connect_s: float = CONNECT_S) -> WhipAnswer:
        """Offer a session. Raises ``RelayBusy``, ``RelayRefused``, ``RelayUnreachable``."""
        request = Request(
            method="POST",
            url=self._endpoint,
            body=offer.encode(),
            headers={"Content-Type": _SDP, "Accept": _SDP},
            lesson_id=self._lesson_id,
            trusted_hosts=self._trusted_hosts,
        )
        reply = await ask(self._http, request, self._bearer, connect_s=connect_s)
        if reply.status != 201:
            raise reply.refusal()
        if reply.headers.get("Content-Type", "").partition(";")[0].strip().lower() != _SDP:
            raise RelayRefused(reply.status, f"accepted, but answered no {_SDP}")
        location = reply.headers.get("Location")
        return WhipAnswer(
            sdp=reply.body.decode(errors="replace"),
            resource=reply.url.join(URL(location)) if location else None,
            etag=reply.headers.get("ETag"),
        )

    async def delete(self, resource: URL | None) -> None:
        """End the session. Never raises for a server that is gone or that forgot it: then it is over anyway."""
        if resource is None:
            return
        bearer = self._bearer if trusts(resource, self._endpoint, self._trusted_hosts) else None
        request = Request(method="DELETE", url=resource, lesson_id=self._lesson_id, trusted_hosts=self._trusted_hosts)
        try:
            reply = await ask(self._http, request, bearer, answer_s=DELETE_S)
        except (RelayUnreachable, RelayRefused) as error:
            log.info("the session was not deleted: %s", error)
            return
        if reply.status >= 300 and reply.status not in {404, 410}:
            log.info("the session was not deleted: the relay answered %d: %s", reply.status, reply.reason)
