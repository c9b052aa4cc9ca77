"""How a viewer of the load joins: WHEP at Parta, Janus's own HTTP interface at Janus. Blocking, one at a time."""

from __future__ import annotations

import json
import re
import secrets
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urljoin

from bench.fanout.peer import Remote, Viewer, remote_of
from relay.engines.embedded.dtls import Fingerprint
from tests.relay.engines.raw_peer import offer

ANSWER_S = 10.0
MOUNTPOINT = 1


class Signalling(Protocol):
    """A server's way in."""

    def join(self, viewer: Viewer) -> Remote:
        """Make a session for this viewer; where it is."""
        ...

    def leave(self, viewer: Viewer) -> None:
        """Tell the server that the viewer goes."""
        ...


class Whep:
    """``url`` is the class's WHEP address."""

    def __init__(self, url: str, host: str) -> None:
        self._url = url
        self._host = host
        self._resources: dict[int, str] = {}

    def join(self, viewer: Viewer) -> Remote:
        """POST an offer."""
        offered = offer(viewer.local, viewer.endpoint.fingerprint)
        request = urllib.request.Request(
            self._url, offered.encode(), {"Content-Type": "application/sdp"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=ANSWER_S) as response:
            self._resources[id(viewer)] = urljoin(self._url, response.headers["Location"])
            return remote_of(response.read().decode(), self._host)

    def leave(self, viewer: Viewer) -> None:
        """DELETE the session."""
        request = urllib.request.Request(self._resources.pop(id(viewer)), method="DELETE")
        with urllib.request.urlopen(request, timeout=ANSWER_S):
            pass


class Janus:
    """``url`` is Janus's HTTP root. The server offers; the answer is written here."""

    def __init__(self, url: str, host: str) -> None:
        self._url = url
        self._host = host
        self._sessions: dict[int, str] = {}

    def join(self, viewer: Viewer) -> Remote:
        """Create a session, attach the streaming plugin, watch, answer."""
        session = f"{self._url}/{self._ask(self._url, janus='create')['data']['id']}"
        self._sessions[id(viewer)] = session
        attached = self._ask(session, janus="attach", plugin="janus.plugin.streaming")
        handle = f"{session}/{attached['data']['id']}"
        self._ask(handle, janus="message", body={"request": "watch", "id": MOUNTPOINT})
        offered = self._event(session)["jsep"]["sdp"]
        answered = answer(offered, viewer.local.ufrag, viewer.local.password, viewer.endpoint.fingerprint)
        jsep = {"type": "answer", "sdp": answered}
        self._ask(handle, janus="message", body={"request": "start"}, jsep=jsep)
        self._ask(handle, janus="trickle", candidate=self._candidate(viewer))
        self._ask(handle, janus="trickle", candidate={"completed": True})
        return remote_of(offered, self._host)

    def leave(self, viewer: Viewer) -> None:
        """Destroy the session."""
        self._ask(self._sessions.pop(id(viewer)), janus="destroy")

    def _candidate(self, viewer: Viewer) -> dict[str, object]:
        host, port = viewer.socket.getsockname()
        return {"sdpMLineIndex": 0, "candidate": f"candidate:1 1 udp 2130706431 {host} {port} typ host"}

    def _event(self, session: str) -> dict[str, Any]:
        while True:
            with urllib.request.urlopen(f"{session}?maxev=1", timeout=ANSWER_S) as response:
                told: Any = json.load(response)
            for event in told if isinstance(told, list) else [told]:
                if "jsep" in event:
                    found: dict[str, Any] = event
                    return found

    def _ask(self, url: str, **message: object) -> dict[str, Any]:
        body = json.dumps({**message, "transaction": secrets.token_hex(6)}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=ANSWER_S) as response:
            answered: dict[str, Any] = json.load(response)
        assert answered["janus"] in {"success", "ack"}, answered
        return answered


def answer(offered: str, ufrag: str, password: str, fingerprint: Fingerprint) -> str:
    """What a viewer says to an offer of Janus: all of it, to receive, and DTLS's client."""
    session, *media = re.split(r"(?m)^(?=m=)", offered)
    group = re.search(r"(?m)^a=group:BUNDLE.*$", session)
    lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    lines += [group[0].strip()] if group else []
    for section in media:
        kept = [line for line in section.splitlines() if re.match(r"m=|a=(mid|rtpmap|fmtp|rtcp-fb|rtcp-mux)", line)]
        lines += [kept[0], "c=IN IP4 0.0.0.0", *kept[1:], "a=recvonly", "a=setup:active"]
        lines += [f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{password}"]
        lines.append(f"a=fingerprint:{fingerprint.algorithm} {fingerprint.value}")
    return "\r\n".join(lines) + "\r\n"


SIGNALLING: Mapping[str, Callable[[str, str], Signalling]] = {"parta": Whep, "janus": Janus}
