"""Strangers that flood a relay, in a process of their own: ``python -m tests.relay.strangers stun|post TARGET RATE``.

``stun`` sends binding requests to ``HOST:PORT`` from many addresses, each for a user that the relay never heard of;
``HOST:PORT#HOUSE`` lets the user fragments begin as the relay's own do, which whoever has a class link can learn.
``post`` asks ``URL`` to publish without a key, to watch a class that does not exist, and to watch one that does
(``URL`` is that class's WHEP address: the worst that a link in the wrong hands can do), each on its own connection.

It prints ``flooding`` once it does, and at the end of its input one line of JSON: ``{"sent": …, "seconds": …}``, of
what it really reached. Who uses it: ``flooded_lesson.py``.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import threading
import time
from urllib.parse import urlsplit

from aioice import stun

from relay.engines.embedded.burst import SOL_UDP, UDP_SEGMENT
from tests.relay.engines.raw_peer import RawPeer, endpoint, offer

ADDRESSES = 32
BATCH = 50  # datagrams a system call: the kernel cuts them, so that the flood costs the machine less than the relay
CLIENTS = 16  # connections that are open at a time
ANSWER_S = 5.0
LATE_S = 0.25  # what a stall of the machine made late is not sent at once afterwards: that were another rate


class Pace:
    """When the next of ``per_s`` is due."""

    def __init__(self, per_s: float) -> None:
        self._step_s = 1 / per_s
        self._due_s = time.monotonic()

    def wait(self) -> None:
        """Until it is."""
        now_s = time.monotonic()
        self._due_s = max(self._due_s + self._step_s, now_s - LATE_S)
        if self._due_s > now_s:
            time.sleep(self._due_s - now_s)


def stun_flood(target: str, per_s: float, ended: threading.Event) -> int:
    """Send until ``ended``; how many."""
    to, _, house = target.partition("#")
    host, _, port = to.rpartition(":")
    batches = [b"".join(_request(house) for _ in range(BATCH)) for _ in range(64)]
    sockets = []
    for _ in range(ADDRESSES):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect((host, int(port)))
        sock.setsockopt(SOL_UDP, UDP_SEGMENT, len(batches[0]) // BATCH)
        sockets.append(sock)
    pace, sent = Pace(per_s / BATCH), 0
    while not ended.is_set():
        sockets[sent // BATCH % ADDRESSES].send(batches[sent // BATCH % len(batches)])
        sent += BATCH
        pace.wait()
    for sock in sockets:
        sock.close()
    return sent


def _request(house: str) -> bytes:
    message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{house}{secrets.token_urlsafe(6)}:{secrets.token_urlsafe(6)}"
    message.attributes["PRIORITY"] = 1
    message.attributes["ICE-CONTROLLING"] = 7
    message.add_message_integrity(os.urandom(20))
    return bytes(message)


def post_flood(url: str, per_s: float, ended: threading.Event) -> int:
    """Post until ``ended``; how many were answered."""
    address = urlsplit(url)
    to = (str(address.hostname), int(address.port or 80))
    body = offer(*RawPeer(endpoint()).offer_args).encode()
    paths = ("/whip", f"/whep/{secrets.token_urlsafe(16)}", address.path)
    requests = [
        f"POST {path} HTTP/1.1\r\nHost: {to[0]}\r\nContent-Type: application/sdp\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
        for path in paths
    ]
    answered = [0] * CLIENTS

    def client(number: int) -> None:
        pace = Pace(per_s / CLIENTS)
        while not ended.is_set():
            with socket.create_connection(to, ANSWER_S) as sock:
                sock.sendall(requests[answered[number] % len(requests)])
                while sock.recv(4096):
                    pass
            answered[number] += 1
            pace.wait()

    clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    return sum(answered)


def main(kind: str, target: str, per_s: str) -> None:
    """Flood until the end of input."""
    ended = threading.Event()

    def listen() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    print("flooding", flush=True)
    begun_s = time.monotonic()
    sent = {"stun": stun_flood, "post": post_flood}[kind](target, float(per_s), ended)
    print(json.dumps({"sent": sent, "seconds": time.monotonic() - begun_s}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
