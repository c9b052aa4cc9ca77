"""Who may talk to a page that the kit itself serves: a browser on this very page, and scripts.

A button that starts a broadcast must not be pressed by some other page that the same browser has open (cross-site
request forgery), nor by one that made its name point here (DNS rebinding). Used by the simulated panel and the setup
page. Not here: their routes, and the setup page's PIN.
"""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from yarl import URL

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


def guard(bound_to: str, what: str) -> Middleware:
    """A middleware for a page bound to the address ``bound_to``; ``what`` it is goes into refusals."""

    @web.middleware
    async def only_our_own_page(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _host_is_ours(request.host, bound_to):
            raise web.HTTPMisdirectedRequest(text=f"this address is not that of {what}\n", headers=HEADERS)
        if request.method not in ("GET", "HEAD") and not _same_origin(request):
            raise web.HTTPForbidden(text=f"only the page of {what} itself may do this\n", headers=HEADERS)
        return await handler(request)

    return only_our_own_page


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """For ``on_response_prepare``: every answer, the stream of events included."""
    response.headers.update(HEADERS)


def _host_is_ours(host: str, bound_to: str) -> bool:
    name = _host_name(host)
    if name in {bound_to.strip("[]").lower(), "localhost"}:
        return True
    address = _address(name)
    if address is not None and address.is_loopback:
        return True
    bound = _address(bound_to)
    if bound_to == "localhost" or (bound is not None and bound.is_loopback):
        return False
    # On a network, a rebinding page comes with a name of its own: an address or this machine's name is no such one.
    own = socket.gethostname().lower()
    return address is not None or name in {own, f"{own}.local"}


def _host_name(host: str) -> str:
    try:
        return (URL(f"http://{host}").host or "").lower()
    except ValueError:
        return ""


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _same_origin(request: web.Request) -> bool:
    """A script sends neither header; a browser always sends at least one with a POST."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    return origin is None or origin.lower() == f"{request.scheme}://{request.host}".lower()


def page_file(path: Path) -> Handler:
    """A handler that serves this file."""

    async def serve(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(path)

    return serve
