"""The load: viewers in a process of its own, ``python -m bench.fanout.viewers parta|janus HOST URL``.

Standard input takes lines: ``open N`` (that many more), ``begin`` (count from here), ``count``, ``leave`` (all of
them), ``end``. It answers each with what it counted, as a line of JSON.
"""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Callable

from bench.fanout.peer import Viewer
from bench.fanout.signalling import SIGNALLING, Signalling
from relay.engines.embedded import dtls

CHECK_EVERY_S = 4.0  # RFC 7675: five seconds, with some play
REPORT_EVERY_S = 1.0
RESEND_S = 0.5
CONNECT_S = 15.0
POLL_S = 0.005


class Load:
    """All viewers, on one thread."""

    def __init__(self, signalling: Signalling, host: str) -> None:
        self._signalling = signalling
        self._host = host
        self._endpoint = dtls.Endpoint()
        self._poll = select.epoll()
        self._viewers: dict[int, Viewer] = {}
        self._checks_s: dict[int, float] = {}
        self._reports_s: dict[int, float] = {}
        self._poll.register(sys.stdin.fileno(), select.EPOLLIN)

    def open(self, count: int) -> None:
        """So many more, one after the other, each until media comes."""
        for _ in range(count):
            viewer = Viewer(self._endpoint, self._host)
            self._viewers[viewer.socket.fileno()] = viewer
            self._poll.register(viewer.socket.fileno(), select.EPOLLIN)
            viewer.begin(self._signalling.join(viewer))
            self._checks_s[viewer.socket.fileno()] = time.monotonic() + CHECK_EVERY_S
            self._reports_s[viewer.socket.fileno()] = time.monotonic() + REPORT_EVERY_S
            self._until(lambda viewer=viewer: len(viewer.streams) == 2, viewer)  # type: ignore[misc]

    def begin(self) -> None:
        """Count from here on."""
        for viewer in self._viewers.values():
            viewer.drain()
            viewer.forget()

    def count(self) -> dict[str, int]:
        """What was delivered since ``begin``."""
        streams = [stream for viewer in self._viewers.values() for stream in viewer.streams.values()]
        return {
            "viewers": len(self._viewers),
            "packets": sum(stream.packets for stream in streams),
            "least": min((stream.packets for stream in streams), default=0),
            "gaps": sum(stream.gaps for stream in streams),
            "ended": sum(viewer.ended for viewer in self._viewers.values()),
        }

    def leave(self) -> None:
        """All viewers go, as pages that are closed do."""
        for descriptor, viewer in self._viewers.items():
            self._poll.unregister(descriptor)
            self._signalling.leave(viewer)
            viewer.socket.close()
        self._viewers.clear()
        self._checks_s.clear()
        self._reports_s.clear()

    def turn(self) -> bool:
        """Take what came, and do what is due; whether a line waits on standard input."""
        asked = False
        for descriptor, _ in self._poll.poll(POLL_S):
            if descriptor in self._viewers:
                self._viewers[descriptor].drain()
            else:
                asked = True
        self._do_what_is_due(time.monotonic())
        return asked

    def _do_what_is_due(self, now_s: float) -> None:
        for descriptor, viewer in self._viewers.items():
            if now_s >= self._checks_s.get(descriptor, now_s + 1):
                viewer.check()
                self._checks_s[descriptor] = now_s + CHECK_EVERY_S
            if now_s >= self._reports_s.get(descriptor, now_s + 1):
                viewer.report()
                self._reports_s[descriptor] = now_s + REPORT_EVERY_S

    def _until(self, holds: Callable[[], bool], viewer: Viewer) -> None:
        late_s, again_s = time.monotonic() + CONNECT_S, time.monotonic() + RESEND_S
        while not holds():
            self.turn()
            if time.monotonic() > again_s:
                viewer.check()
                viewer.resend()
                again_s = time.monotonic() + RESEND_S
            if time.monotonic() > late_s:
                raise TimeoutError(f"viewer {len(self._viewers)} sees nothing; connected: {viewer.connected}")


def main(server: str, host: str, url: str) -> None:
    """Serve until ``end`` or the end of input."""
    load = Load(SIGNALLING[server](url, host), host)
    while True:
        if not load.turn():
            continue
        words = sys.stdin.readline().split()
        if not words or words[0] == "end":
            break
        if words[0] == "open":
            load.open(int(words[1]))
        elif words[0] == "begin":
            load.begin()
        elif words[0] == "leave":
            load.leave()
        print(json.dumps(load.count()), flush=True)
    load.leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
