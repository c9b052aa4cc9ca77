"""How every answer looks: security headers, CORS for WHIP and WHEP, and refusals in the form that their reader expects.

Errors of the API are JSON, those of WHIP and WHEP one line of text, and a pupil who meets one gets a page.
"""

from __future__ import annotations

import logging
import math

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from relay.errors import (
    ArchiveFull,
    ArchiveUnavailable,
    ChannelBusy,
    EngineFull,
    NotAuthorised,
    NothingToWatch,
    RelayError,
    StoreUnavailable,
    TooManyTries,
)
from relay.web.context import RELAY
from relay.web.pages import not_found_page

FULL_RETRY_AFTER_S = 30  # somebody has to make space first
RETRY_AFTER_S = 3  # when the reason is expected to pass by itself

#: Nothing from anywhere but this relay, and nothing inline: the page is used by children.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",  # a class link is a secret
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
CORS_HEADERS = {
    hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*",
    hdrs.ACCESS_CONTROL_EXPOSE_HEADERS: (
        "Location, ETag, Link, Accept-Post, Accept-Patch, Retry-After, Preference-Applied"
    ),
}

_log = logging.getLogger(__name__)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """aiohttp's ``on_response_prepare``: what every answer carries."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    response.headers.popall(hdrs.SERVER, None)
    if is_media(request):
        response.headers.update(CORS_HEADERS)


def is_media(request: web.Request) -> bool:
    """Whether this is WHIP or WHEP."""
    return request.path.split("/", 2)[1] in {"whip", "whep"}


@web.middleware
async def answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what handlers raise into answers."""
    try:
        return await handler(request)
    except RelayError as error:
        request.app[RELAY].metrics.refused(error.key)
        return _refusal(request, error.status, error.key, str(error), _headers(error))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        kept = {name: value for name, value in error.headers.items() if name != hdrs.CONTENT_TYPE}
        reason = (error.text or error.reason).splitlines()[0]
        return _refusal(request, error.status, _key(error.reason), reason, kept)
    except Exception:  # noqa: BLE001  # the last line of defence: one bad request must not go unanswered or unlogged
        _log.exception("a request failed: %s %s", request.method, route_of(request))
        return _refusal(request, 500, "relay_error", "the relay failed; its log says why", {})


def route_of(request: web.Request) -> str:
    """The request's route without its secrets: the template, never the path itself."""
    resource = request.match_info.route.resource
    return "(no route)" if resource is None else resource.canonical


def _refusal(request: web.Request, status: int, key: str, reason: str, headers: dict[str, str]) -> web.Response:
    if request.path.startswith(("/c/", "/l/")) and status == 404:
        return not_found_page(request)
    if request.path.startswith("/api/"):
        response = web.json_response({"error": key, "reason": reason}, status=status, headers=headers)
    else:
        response = web.Response(status=status, text=f"{reason}\n", headers=headers)
    if headers.get(hdrs.CONNECTION) == "close":
        response.force_close()
    return response


def _key(reason: str) -> str:
    return reason.lower().replace(" ", "_")


def _headers(error: RelayError) -> dict[str, str]:
    if isinstance(error, NotAuthorised):
        told = str(error)
        detail = f', error="invalid_token", error_description="{told}"' if told else ""
        return {hdrs.WWW_AUTHENTICATE: f'Bearer realm="parta"{detail}'}
    if isinstance(error, TooManyTries):
        return {hdrs.RETRY_AFTER: str(math.ceil(error.retry_after_s))}
    if isinstance(error, ArchiveFull):
        return {hdrs.RETRY_AFTER: str(FULL_RETRY_AFTER_S)}
    if isinstance(error, ChannelBusy | EngineFull | NothingToWatch | StoreUnavailable | ArchiveUnavailable):
        return {hdrs.RETRY_AFTER: str(RETRY_AFTER_S)}
    return {}
