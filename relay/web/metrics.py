"""Prometheus metrics, in a registry of their own. Labels never hold a class, a link, a name or an address.

The engine's counters come as a mapping (``relay/app.py`` says from where), so that this knows no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector

from wire.messages import HEALTH_WARNINGS

Figures = Callable[[], Mapping[str, float]]
SECONDS = (0.005, 0.02, 0.1, 0.5, 2, 10)


class Metrics:
    """What the relay counts. ``text`` is the page that Prometheus reads."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Histogram(
            "parta_http_request_seconds",
            "HTTP requests by route template; streams count when they end",
            ("method", "route", "status"),
            registry=self._registry,
            buckets=SECONDS,
        )
        self._refused = Counter(
            "parta_refusals", "Requests refused, by the error's key", ("key",), registry=self._registry
        )
        self._store_failures = Counter(
            "parta_store_failures",
            "Reads and writes that the database did not serve (locked, full, gone)",
            ("what",),
            registry=self._registry,
        )
        for what in ("read", "write"):  # there from the start, so that an alert sees the first one
            self._store_failures.labels(what)
        self._segments = Counter("parta_segments_taken", "Segments of recordings", registry=self._registry)
        self._segment_bytes = Counter(
            "parta_segment_bytes_taken", "Bytes of recordings' segments", registry=self._registry
        )
        self.event_streams = Gauge("parta_event_streams", "Pupils' pages that are listening", registry=self._registry)
        self.kits_connected = Gauge("parta_kits_connected", "Control connections of kits", registry=self._registry)

        self._kit_warnings = Gauge(
            "parta_kit_warnings",
            "Connected kits whose board warns of this (supply, heat, space, clock, Wi-Fi)",
            ("warning",),
            registry=self._registry,
        )
        for warning in HEALTH_WARNINGS:
            self._kit_warnings.labels(warning)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a number that is read when it is asked for."""
        Gauge(f"parta_{name}", text, registry=self._registry).set_function(read)

    def engine(self, figures: Figures) -> None:
        """Show the engine's counters and gauges."""
        self._registry.register(_EngineFigures(figures))

    def request_done(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def refused(self, key: str) -> None:
        """Count a refusal."""
        self._refused.labels(key).inc()

    def store_failed(self, what: str) -> None:
        """Count a failure of the database (``read`` or ``write``)."""
        self._store_failures.labels(what).inc()

    def segment_taken(self, size_bytes: int) -> None:
        """Count a segment of a recording that was taken into the archive."""
        self._segments.inc()
        self._segment_bytes.inc(size_bytes)

    def kit_warns(self, before: Collection[str], now: Collection[str]) -> None:
        """A kit warned of ``before`` until now. What this version doesn't know is not counted: it is no label."""
        for warning in HEALTH_WARNINGS:
            self._kit_warnings.labels(warning).inc((warning in now) - (warning in before))

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)


class _EngineFigures:
    """The engine's figures as a Prometheus collector: ``…_now`` is a gauge, anything else a total since the start."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for name, value in self._figures().items():
            text = f"Media: {name.replace('_', ' ')}"
            if name.endswith("_now"):
                yield GaugeMetricFamily(f"parta_media_{name.removesuffix('_now')}", text, value=value)
            else:
                yield CounterMetricFamily(f"parta_media_{name}", text, value=value)

    def describe(self) -> Iterable[Metric]:
        return ()


def metrics_answer(metrics: Metrics) -> web.Response:
    """``GET /metrics``"""
    return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})
