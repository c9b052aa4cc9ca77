"""The default engine: WHIP and WHEP media on one UDP port, ICE-lite, DTLS-SRTP, packets forwarded and never decoded."""

from __future__ import annotations

from relay.engines.embedded.engine import EmbeddedEngine
from relay.engines.embedded.in_process import InProcess

__all__ = ["EmbeddedEngine", "InProcess"]
