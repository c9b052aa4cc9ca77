"""``/healthz``: the process is up. ``/readyz``: it can serve. ``/metrics``: how it does."""

from __future__ import annotations

from aiohttp import web

from relay.errors import StoreUnavailable
from relay.web.context import RELAY
from relay.web.metrics import metrics_answer


async def healthz(_request: web.Request) -> web.Response:
    """Alive: the event loop turns."""
    return web.json_response({"status": "up"})


async def readyz(request: web.Request) -> web.Response:
    """Database and engine serve. The routes are up only while the engine runs (``relay/app.py``)."""
    try:
        await request.app[RELAY].registers.check()
    except StoreUnavailable as error:
        return web.json_response({"status": "not ready", "database": str(error)}, status=503)
    return web.json_response({"status": "ready"})


async def metrics(request: web.Request) -> web.Response:
    """For Prometheus."""
    return metrics_answer(request.app[RELAY].metrics)
