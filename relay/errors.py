"""The relay's errors that a client or a person may meet. A leaf.

``key`` is stable (logs, metrics, JSON bodies), ``status`` is the HTTP status that the web layer answers with.
"""

from __future__ import annotations


class RelayError(Exception):
    """Base of the relay's own errors; ``str(error)`` is one line fit for the client."""

    key = "relay_error"
    status = 500


class OfferRejected(RelayError):
    """An SDP offer that cannot be taken; nothing was allocated. ``status`` is 400, 406 or 422."""

    key = "offer_rejected"

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class FragmentRejected(RelayError):
    """A PATCH body that is no usable SDP fragment; the session goes on as it was."""

    key = "fragment_rejected"
    status = 422


class ChannelBusy(RelayError):
    """Another publisher is live on this channel."""

    key = "channel_busy"
    status = 409


class EngineFull(RelayError):
    """No session is free now. The web layer adds Retry-After."""

    key = "engine_full"
    status = 503


class SessionUnknown(RelayError):
    """No session has this id (any more)."""

    key = "session_unknown"
    status = 404
