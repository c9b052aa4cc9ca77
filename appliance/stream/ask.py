"""One HTTP request to the relay, with everything that a client owes: redirects, clocks, and errors that a person reads.

Used by ``whip.py``, ``enrol.py``, ``stills.py`` and ``recording_client.py``. Not here: when to try again.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from yarl import URL

from appliance.errors import RelayRefused, RelayUnreachable
from appliance.stream.bearer import Bearer

#: From sending to the whole answer. A mobile uplink's worst second, a few times over.
ANSWER_S = 5.0
#: TCP and TLS. Short, so that a SYN lost while the network was gone is soon sent anew by the next attempt.
CONNECT_S = 1.5
#: RFC 9110 §15.4 sets no number; a chain longer than this is a loop.
MAX_REDIRECTS = 4
#: An SDP answer has 3 KiB; whatever sends more is no relay.
MAX_ANSWER_BYTES = 64 * 1024
#: A relay that is busy for longer is asked again anyway.
MAX_RETRY_AFTER_S = 120.0

_BUSY = {409, 429, 503}
_REDIRECTS = {307, 308}  # those that keep method and body; RFC 9725 §4.4.5 allows servers no others
_REASON_CHARACTERS = 200


class RelayBusy(RelayRefused):
    """Not now: another publisher is live, or the relay is full. ``retry_after_s`` is when to ask again, if it said."""

    key = "relay_busy"

    def __init__(self, status: int, reason: str, retry_after_s: float | None) -> None:
        super().__init__(status, reason)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to ask. ``lesson_id`` goes into the token; ``trusted_hosts`` may see the token too, after a redirect.

    ``paced`` lets the body out piece by piece; its ``Content-Length`` has to be among the headers then.
    """

    method: str
    url: URL
    body: bytes | None = None
    headers: Mapping[str, str] | None = None
    lesson_id: str | None = None
    trusted_hosts: frozenset[str] = frozenset()
    paced: Callable[[bytes], AsyncIterator[bytes]] | None = None

    def data(self) -> bytes | AsyncIterator[bytes] | None:
        """The body, to be sent once more."""
        return self.body if self.paced is None or self.body is None else self.paced(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back. ``url`` is where it came from, after redirects."""

    status: int
    url: URL
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after_s(self) -> float | None:
        """Retry-After (RFC 9110 §10.2.3), as seconds from now."""
        text = self.headers.get("Retry-After", "").strip()
        if text.isdecimal():
            return min(float(text), MAX_RETRY_AFTER_S)
        try:
            wait_s = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
        return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)

    @property
    def reason(self) -> str:
        """The relay's own words, as one line."""
        text = self.body.decode(errors="replace").strip()
        if self.headers.get("Content-Type", "").startswith("application/json"):
            text = _json_reason(text)
        elif not self.headers.get("Content-Type", "").startswith("text/plain"):
            text = ""
        return text.splitlines()[0][:_REASON_CHARACTERS] if text else "no reason given"

    def refusal(self) -> RelayRefused | RelayUnreachable:
        """This answer as an error, by its status class (RFC 9110 §15)."""
        if self.status in _BUSY:
            return RelayBusy(self.status, self.reason, self.retry_after_s)
        if self.status >= 500:
            return RelayUnreachable(f"the relay is in trouble ({self.status}: {self.reason})")
        return RelayRefused(self.status, self.reason)


async def ask(
    http: aiohttp.ClientSession,
    request: Request,
    bearer: Bearer | None = None,
    *,
    connect_s: float = CONNECT_S,
    answer_s: float = ANSWER_S,
) -> Reply:
    """Send the request, follow redirects, and sign anew once if the relay's clock is another one.

    Raises ``RelayUnreachable``, and ``RelayRefused`` for a redirect that must not be followed.
    """
    timeout = aiohttp.ClientTimeout(total=answer_s, sock_connect=connect_s)
    url, retried = request.url, False
    for _ in range(MAX_REDIRECTS + 2):
        trusted = trusts(url, request.url, request.trusted_hosts)
        reply = await _send(http, request, url, bearer if trusted else None, timeout)
        if reply.status in _REDIRECTS:
            url = _redirected(request, reply)
        elif reply.status == 401 and bearer and not retried and bearer.learn_time(reply.headers.get("Date", "")):
            retried = True
        else:
            return reply
    raise RelayRefused(reply.status, "redirected too often")


def trusts(url: URL, asked: URL, trusted_hosts: frozenset[str]) -> bool:
    """Whether ``url`` may see a token meant for ``asked``: its host, or a named one, over no weaker a scheme."""
    return url.scheme in {"https", asked.scheme} and (url.host == asked.host or url.host in trusted_hosts)


async def _send(
    http: aiohttp.ClientSession, request: Request, url: URL, bearer: Bearer | None, timeout: aiohttp.ClientTimeout
) -> Reply:
    headers = dict(request.headers or {})
    if bearer is not None:
        headers["Authorization"] = f"Bearer {bearer.authorise(request.method, url.raw_path, request.lesson_id)}"
    try:
        async with http.request(
            request.method, url, data=request.data(), headers=headers, allow_redirects=False, timeout=timeout
        ) as response:
            body = await _bounded(response)
            return Reply(status=response.status, url=url, headers=response.headers, body=body)
    except TimeoutError as error:
        raise RelayUnreachable(f"{url.host} does not answer") from error
    except (aiohttp.ClientError, OSError) as error:
        raise RelayUnreachable(f"{url.host} cannot be reached: {str(error) or type(error).__name__}") from error


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(MAX_ANSWER_BYTES):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            response.close()
            break
    return bytes(body[:MAX_ANSWER_BYTES])


def _redirected(request: Request, reply: Reply) -> URL:
    try:
        target = reply.url.join(URL(reply.headers.get("Location", "")))
    except ValueError as error:
        raise RelayRefused(reply.status, "redirected to no address") from error
    if target.scheme not in {"https", request.url.scheme} or target.host is None:
        raise RelayRefused(reply.status, f"redirected to {target}, which is less safe than {request.url}")
    return target


def _json_reason(text: str) -> str:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    return str(document.get("reason", "")).strip() if isinstance(document, dict) else ""
