"""The access log: method, route template, status, time. Never a path, an address or a bearer: links are secrets."""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from relay.web.answers import route_of
from relay.web.context import RELAY


class AccessLog(AbstractAccessLogger):
    """What aiohttp calls at the end of each request."""

    @property
    def enabled(self) -> bool:
        """Always: the metrics need it."""
        return True

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """One line, and the histogram."""
        if not isinstance(request, web.Request):
            return  # it never was an HTTP request
        route = route_of(request)
        request.app[RELAY].metrics.request_done(request.method, route, response.status, time)
        level = logging.INFO if response.status >= 500 else logging.DEBUG
        self.logger.log(level, "%s %s %d %.0f ms", request.method, route, response.status, 1000 * time)
