"""A WHIP or WHEP server as the suites see it: an address, perhaps a token, and sessions that are opened and ended.

HTTP and, as far as ICE goes, UDP. Nothing of the relay is used, so that both cannot be wrong together.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from tests.conformance.duties import Broken, need
from tests.conformance.ice_probe import IceProbe
from tests.conformance.offers import Credentials, Direction, Offer

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
ANSWER_S = 10.0
MAX_REDIRECTS = 5


@dataclass(frozen=True)
class Reply:
    """What the server answered."""

    status: int
    headers: CIMultiDictProxy[str]
    body: str
    url: URL

    @property
    def media_type(self) -> str:
        """Without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def listed(self, name: str) -> set[str]:
        """The members of a list-valued header, in lower case."""
        values = ",".join(self.headers.getall(name, []))
        return {value.strip().lower() for value in values.split(",") if value.strip()}


@dataclass(frozen=True)
class Answer:
    """An SDP answer, taken apart as far as the duties look."""

    text: str

    @property
    def session(self) -> list[str]:
        """The lines before the first m-line."""
        return self.text.split("m=", 1)[0].splitlines()

    @property
    def sections(self) -> list[list[str]]:
        """The lines of each m-section, its m-line first."""
        found: list[list[str]] = []
        for line in self.text.splitlines():
            if line.startswith("m="):
                found.append([])
            if found:
                found[-1].append(line.strip())
        return found

    def values(self, attribute: str) -> list[str]:
        """Every value of an attribute, in order."""
        return [line.partition(":")[2] for line in self.text.splitlines() if line.startswith(f"a={attribute}:")]

    @property
    def credentials(self) -> Credentials:
        """Those of the bundle. Raises ``Broken``."""
        ufrags, passwords = self.values("ice-ufrag"), self.values("ice-pwd")
        need(ufrags and passwords, "no a=ice-ufrag and a=ice-pwd")
        return Credentials(ufrags[0].strip(), passwords[0].strip())

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Of the UDP candidates."""
        found = [value.split() for value in self.values("candidate")]
        return list(dict.fromkeys((c[4], int(c[5])) for c in found if len(c) > 7 and c[2].lower() == "udp"))


@dataclass(frozen=True)
class Session:
    """A session that the server made."""

    endpoint: Endpoint
    offer: Offer
    reply: Reply

    @property
    def answer(self) -> Answer:
        return Answer(self.reply.body)

    @property
    def resource(self) -> URL:
        """Where it is. Raises ``Broken``."""
        location = self.reply.headers.get("Location", "")
        need(location, "no Location")
        return self.reply.url.join(URL(location))

    @property
    def etag(self) -> str:
        """As it was sent; empty if it was not."""
        return self.reply.headers.get("ETag", "")

    async def patch(self, fragment: str, if_match: str | None, media_type: str = FRAGMENT) -> Reply:
        """Send a fragment."""
        headers = {"Content-Type": media_type} | ({"If-Match": if_match} if if_match is not None else {})
        return await self.endpoint.ask("PATCH", self.resource, fragment, headers)

    async def look(self) -> Reply:
        """GET."""
        return await self.endpoint.ask("GET", self.resource)

    async def end(self, headers: Mapping[str, str] | None = None) -> Reply:
        """DELETE."""
        return await self.endpoint.ask("DELETE", self.resource, headers=headers)

    async def answers(self, theirs: Credentials | None = None, ours: Credentials | None = None) -> bool:
        """Whether the server answers ICE checks with these credentials; by default those of offer and answer."""
        async with IceProbe(ours or self.offer.credentials, theirs or self.answer.credentials) as probe:
            return await probe.answered(self.answer.addresses)


@dataclass(frozen=True)
class Endpoint:
    """The server that is asked. ``patience_s``: how long it may take to forget a silent session; 0: not waited for.
    ``most_sessions``: how many may be opened to see it full; 0: none."""

    url: URL
    http: aiohttp.ClientSession
    direction: Direction
    token: str | None = None
    patience_s: float = 0.0
    most_sessions: int = 0

    async def ask(
        self,
        method: str,
        url: URL | None = None,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        bearer: bool = True,
    ) -> Reply:
        """One request. Redirects are not followed."""
        sent = dict(headers or {})
        if self.token is not None and bearer:
            sent["Authorization"] = f"Bearer {self.token}"
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with self.http.request(
            method, url or self.url, data=body, headers=sent, allow_redirects=False, timeout=timeout
        ) as response:
            text = (await response.read()).decode(errors="replace")
            return Reply(response.status, response.headers, text, response.url)

    async def post(self, offer: str, headers: Mapping[str, str] | None = None, **more: bool) -> Reply:
        """Offer a session, following 307 as a client has to."""
        url = self.url
        for _ in range(MAX_REDIRECTS):
            reply = await self.ask("POST", url, offer, {"Content-Type": SDP} | dict(headers or {}), **more)
            if reply.status != 307:
                return reply
            url = reply.url.join(URL(reply.headers.get("Location", "")))
        raise Broken("redirected too often")

    @asynccontextmanager
    async def session(self, offer: Offer | None = None) -> AsyncIterator[Session]:
        """A session for the length of the context. Raises ``Broken``."""
        offer = offer or Offer(self.direction)
        reply = await self.post(offer.sdp())
        need(reply.status == 201, f"the POST was answered {reply.status}: {first_line(reply)}")
        session = Session(self, offer, reply)
        try:
            yield session
        finally:
            if "Location" in reply.headers:
                await session.end()

    async def refused(self, offer: Offer) -> Reply:
        """The answer to an offer; a session that it made is ended."""
        reply = await self.post(offer.sdp())
        if reply.status == 201 and "Location" in reply.headers:
            await Session(self, offer, reply).end()
        return reply

    def at(self, url: URL) -> Endpoint:
        """The same server at another address."""
        return replace(self, url=url)


def first_line(reply: Reply) -> str:
    """Of an answer's text, for a person."""
    return (reply.body.strip().splitlines() or [""])[0][:120]


def links(reply: Reply) -> list[tuple[str, dict[str, str]]]:
    """The ``Link`` headers: target and parameters (RFC 8288), as far as ICE servers need them."""
    found = []
    for header in reply.headers.getall("Link", []):
        for target, rest in re.findall(r'<([^>]*)>((?:\s*;\s*[\w-]+(?:\s*=\s*(?:"[^"]*"|[^",;\s]+))?)*)', header):
            pairs = re.findall(r';\s*([\w-]+)\s*=\s*(?:"([^"]*)"|([^",;\s]+))', rest)
            found.append((target, {name.lower(): quoted or bare for name, quoted, bare in pairs}))
    return found
