"""Which way HTTP takes to the relay: through a proxy or not, and which authorities vouch for it.

Used by whoever opens an HTTP session to the relay. Not here: the requests (``ask.py``), and media, which goes by UDP.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from functools import partial

import aiohttp

from appliance.errors import RelayUnreachable


@dataclass(frozen=True, slots=True)
class Way:
    """``proxy`` and ``ca_file`` as in ``[relay]`` of the settings; both may be empty."""

    proxy: str = ""
    ca_file: str = ""

    def session(self, *, force_close: bool = False, send_buffer_bytes: int | None = None) -> aiohttp.ClientSession:
        """An HTTP session that goes this way. Raises ``RelayUnreachable`` for an authority that cannot be read.

        ``send_buffer_bytes``: how much each connection lets the kernel hold, for who must be able to stop sending.
        """
        factory = None if send_buffer_bytes is None else partial(_small_socket, send_buffer_bytes)
        connector = aiohttp.TCPConnector(force_close=force_close, ssl=self._trust(), socket_factory=factory)
        return aiohttp.ClientSession(connector=connector, proxy=self.proxy or None)

    def _trust(self) -> ssl.SSLContext | bool:
        if not self.ca_file:
            return True
        trust = ssl.create_default_context()
        try:
            trust.load_verify_locations(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise RelayUnreachable(f"relay.ca_file: {self.ca_file} cannot be used: {error}") from error
        return trust


def _small_socket(buffer_bytes: int, address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
    return made
