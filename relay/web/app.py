"""The application: which route does what. Built by ``relay/app.py``, and by tests with parts of their own."""

from __future__ import annotations

from aiohttp import web

from relay.web import (
    control,
    downloads,
    enrol,
    events,
    health,
    pages,
    preflight,
    recordings,
    replays,
    sessions,
    static,
    stills,
    whep,
    whip,
)
from relay.web.access_log import AccessLog
from relay.web.answers import add_headers, answer_refusals
from relay.web.auth import AUTH, Authenticator
from relay.web.context import RELAY, Relay

SHUTDOWN_S = 1.0  # for requests that run (aiohttp may wait twice); streams and control connections end at once
LINGER_S = 0.5  # how long a refused body is still read, so that its sender gets to see the refusal


def build_app(relay: Relay) -> web.Application:
    """An application that serves ``relay``. Its streams and connections end when it is shut down."""
    app = web.Application(middlewares=[answer_refusals])
    app[RELAY] = relay
    app[AUTH] = Authenticator(lambda: relay.clock().unix_ms / 1000)
    app[whip.SESSIONS] = whip.PublisherSessions()
    app[preflight.TRIALS] = preflight.Trials()
    app[control.CONNECTIONS] = control.KitConnections()
    app[events.STREAMS] = events.EventStreams()
    app[recordings.UPLOADS] = recordings.Uploads()
    app[downloads.DOWNLOADS] = downloads.Downloads()
    app[replays.PLAYLISTS] = replays.Texts()
    app[pages.TEMPLATES] = pages.templates()
    app[static.STATIC] = static.read_files()
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(_end_streams)
    app.add_routes(_routes())
    return app


def runner_of(app: web.Application) -> web.AppRunner:
    """The runner with this relay's bounds. Its owner cleans it up, also when ``setup`` fails."""
    return web.AppRunner(
        app,
        access_log_class=AccessLog,
        handle_signals=False,
        shutdown_timeout=SHUTDOWN_S,
        lingering_time=LINGER_S,
    )


def _routes() -> list[web.RouteDef]:
    return [
        web.post("/api/enrol", enrol.enrol),
        web.put("/api/lessons/{lesson}/stills/{capture_us}", stills.put_still),
        web.put("/api/lessons/{lesson}/recording", recordings.begin),
        web.get("/api/lessons/{lesson}/recording", recordings.state, allow_head=False),
        web.put("/api/lessons/{lesson}/inits/{number}", recordings.put_init),
        web.put("/api/lessons/{lesson}/segments/{number}", recordings.put_segment),
        web.post("/api/lessons/{lesson}/recording/end", recordings.end),
        web.get("/control", control.control, allow_head=False),
        web.post("/whip", whip.publish),
        web.get("/whip", sessions.endpoint_look),
        web.options("/whip", sessions.endpoint_options),
        web.get("/whip/{session}", whip.look),
        web.patch("/whip/{session}", whip.patch),
        web.delete("/whip/{session}", whip.end),
        web.options("/whip/{session}", sessions.session_options),
        web.post("/preflight", preflight.begin),
        web.delete("/preflight/{session}", preflight.end),
        web.put("/preflight/upload", preflight.upload),
        web.post("/whep/{link}", whep.watch),
        web.get("/whep/{link}", whep.endpoint_look),
        web.options("/whep/{link}", whep.options),
        web.get("/whep/{link}/{session}", whep.look),
        web.patch("/whep/{link}/{session}", whep.patch),
        web.delete("/whep/{link}/{session}", whep.end),
        web.options("/whep/{link}/{session}", sessions.session_options),
        web.get("/whep/{link}/{session}/picture", whep.picture),
        web.put("/whep/{link}/{session}/picture", whep.choose_picture),
        web.options("/whep/{link}/{session}/picture", sessions.picture_options),
        web.get("/c/{link}", pages.class_page),
        web.get("/c/{link}/events", events.events, allow_head=False),
        web.get("/c/{link}/stills/{lesson}/{capture_us}.jpg", stills.get_still),
        web.get("/c/{link}/lessons", replays.class_lessons),
        web.get("/c/{link}/lessons/{lesson}/{playlist:index|main}.m3u8", replays.class_playlist),
        web.get("/c/{link}/lessons/{lesson}/board.jpg", replays.class_board),
        web.get("/c/{link}/lessons/{lesson}/lesson.mp4", downloads.class_download),
        web.get("/c/{link}/lessons/{lesson}/{file}", replays.class_file),
        web.get("/l/{token}", replays.link_page),
        web.get("/l/{token}/lessons", replays.link_lessons),
        web.get("/l/{token}/{playlist:index|main}.m3u8", replays.link_playlist),
        web.get("/l/{token}/board.jpg", replays.link_board),
        web.get("/l/{token}/lesson.mp4", downloads.link_download),
        web.get("/l/{token}/{file}", replays.link_file),
        web.get("/static/{path:.+}", static.static_file),
        web.get("/healthz", health.healthz),
        web.get("/readyz", health.readyz),
        web.get("/metrics", health.metrics),
    ]


async def _end_streams(app: web.Application) -> None:
    app[events.STREAMS].close_all()
    app[control.CONNECTIONS].close_all()
    app[preflight.TRIALS].close()
