"""Makes aiortc's offer the one that a WHIP client owes (RFC 9725 §4). Pure text.

aiortc offers what it could do, and can't be told otherwise: header extensions and feedback that a passthrough sender
does not serve, no ``rtcp-mux-only``, and Opus without parameters. Used by ``peer.py`` between aiortc and the POST; the
answer then agrees only to what is left.
"""

from __future__ import annotations

import re

_UNSERVED = re.compile(
    r"a=extmap:\d+ \S*(abs-send-time|ssrc-audio-level)"  # stamped when queued, not when sent; never measured here
    r"|a=rtcp-fb:\d+ goog-remb"  # nobody here reads it
    r"|a=fingerprint:sha-(384|512)",  # half the offer's bytes; sha-256 is what everybody checks (RFC 8122 §5)
)
_OPUS = re.compile(r"a=rtpmap:(\d+) opus/48000/2$", re.IGNORECASE)
_PLI = re.compile(r"a=rtcp-fb:(\d+) nack pli$")


def whip_offer(sdp: str) -> str:
    """The offer to POST."""
    lines: list[str] = []
    for line in sdp.splitlines():
        if not _UNSERVED.match(line):
            lines.append(line)
            lines.extend(_after(line))
    return "\r\n".join(lines) + "\r\n"


def _after(line: str) -> list[str]:
    if line == "a=rtcp-mux":
        return ["a=rtcp-mux-only"]  # RFC 9725 §4.4.1
    if opus := _OPUS.match(line):
        return [f"a=fmtp:{opus[1]} minptime=20;useinbandfec=1;stereo=0;sprop-stereo=0", "a=ptime:20"]
    if pli := _PLI.match(line):
        return [f"a=rtcp-fb:{pli[1]} ccm fir"]
    return []


def canonical_names(sdp: str) -> dict[int, str]:
    """The CNAME of each SSRC in an SDP (RFC 5576 §6.1)."""
    return {int(ssrc): name for ssrc, name in re.findall(r"^a=ssrc:(\d+) cname:(\S+)\s*$", sdp, re.MULTILINE)}
