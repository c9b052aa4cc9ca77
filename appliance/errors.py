"""The kit's errors that a person may meet. A leaf. Each says what happened, to what, and what to do."""

from __future__ import annotations


class KitError(Exception):
    """Base of the kit's own errors. ``key`` is stable, for logs and for ``/status``."""

    key = "kit_error"


class CameraUnavailable(KitError, OSError):
    """The camera cannot be opened, or stopped giving pictures."""

    key = "camera_unavailable"


class MicrophoneUnavailable(KitError, OSError):
    """The microphone cannot be opened, or stopped giving sound."""

    key = "microphone_unavailable"


class RecordingLost(KitError, OSError):
    """The lesson is not being recorded. It may well be live."""

    key = "recording_lost"


class PanelUnavailable(KitError, OSError):
    """The panel cannot be switched on: its port or its pins are not to be had."""

    key = "panel_unavailable"


class StateUnusable(KitError):
    """A file of the kit's state that cannot be read, written or understood. The text says what to do."""

    key = "state_unusable"


class NetworkUnavailable(KitError, OSError):
    """This machine is on no network that could be looked at."""

    key = "network_unavailable"


class RelayUnreachable(KitError, ConnectionError):
    """The relay does not answer, or the session with it went silent. Worth redialling."""

    key = "relay_unreachable"


class RelayRefused(KitError, PermissionError):
    """The relay answered, and said no. ``status`` is its HTTP status; redialling needs patience, not haste."""

    key = "relay_refused"

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"the relay answered {status}: {reason}")
        self.status = status
        self.reason = reason


class UpdateUnavailable(KitError):
    """This system cannot be updated by itself, or what updates it does not answer."""

    key = "update_unavailable"


class UpdateRefused(KitError):
    """An update that is not taken, now or ever. Nothing that runs was touched."""

    key = "update_refused"
