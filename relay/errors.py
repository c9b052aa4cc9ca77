"""The relay's errors that a client or a person may meet. A leaf.

``key`` is stable (logs, metrics, JSON bodies), ``status`` is the HTTP status that the web layer answers with.
"""

from __future__ import annotations


class RelayError(Exception):
    """Base of the relay's own errors; ``str(error)`` is one line fit for the client."""

    key = "relay_error"
    status = 500


class _Refused(RelayError):
    """Base of those whose HTTP status depends on what was wrong."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class OfferRejected(_Refused):
    """An SDP offer that cannot be taken; nothing was allocated. ``status`` is 400, 406 or 422."""

    key = "offer_rejected"


class FragmentRejected(RelayError):
    """A PATCH body that is no usable SDP fragment; the session goes on as it was."""

    key = "fragment_rejected"
    status = 422


class ChannelBusy(RelayError):
    """Another publisher is live on this channel."""

    key = "channel_busy"
    status = 409


class NothingToWatch(RelayError):
    """Nobody publishes, and the player asked not to wait. The web layer adds Retry-After."""

    key = "nothing_to_watch"
    status = 409


class EngineFull(RelayError):
    """No session is free now. The web layer adds Retry-After."""

    key = "engine_full"
    status = 503


class SessionUnknown(RelayError):
    """No session has this id (any more)."""

    key = "session_unknown"
    status = 404


class LessonOver(RelayError):
    """The lesson was ended by the school; its kit has not heard of it yet."""

    key = "lesson_over"
    status = 409


class CodeRefused(RelayError):
    """An enrol code that is unknown, used or expired: one answer for all three, which tells a guesser nothing."""

    key = "code_refused"
    status = 403


class TooManyTries(RelayError):
    """Guessing is slowed down. ``retry_after_s`` goes into Retry-After."""

    key = "too_many_tries"
    status = 429

    def __init__(self, reason: str, retry_after_s: float) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class NotAuthorised(RelayError):
    """No bearer, or one that does not hold; the text is fit for ``WWW-Authenticate``."""

    key = "not_authorised"
    status = 401


class BadRequest(RelayError):
    """A request that cannot be read."""

    key = "bad_request"
    status = 400


class StoreUnavailable(RelayError):
    """The database is locked, full or gone; what is already live goes on."""

    key = "store_unavailable"
    status = 503


class StillRefused(_Refused):
    """A board still that is no JPEG, or one too many."""

    key = "still_refused"


class RecordingRefused(_Refused):
    """Something of a recording that cannot be taken; nothing of it was kept. ``status`` is 409, 413 or 422."""

    key = "recording_refused"


class NoRecording(RelayError):
    """No recording of this lesson, or not for whoever asks; or it was deleted."""

    key = "no_recording"
    status = 404


class ArchiveFull(RelayError):
    """There is no space for recordings. The web layer adds Retry-After."""

    key = "archive_full"
    status = 507


class ArchiveUnavailable(RelayError):
    """Recordings cannot be written or read now. The web layer adds Retry-After."""

    key = "archive_unavailable"
    status = 503


class NoSuch(RelayError):
    """Something named on the command line is not there; the text says what there is."""

    key = "no_such"
    status = 404


class AlreadyThere(RelayError):
    """Something of this name is there already."""

    key = "already_there"
    status = 409
