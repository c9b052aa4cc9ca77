"""What the setup page needs of the running kit: protocols that the director, the crew and the relay link fulfil."""

from __future__ import annotations

from typing import Protocol

from appliance.capture.base import Camera
from appliance.capture.sound_meter import SoundFigures
from appliance.hw.base import Fault, LinkFace
from appliance.hw.health import Health
from appliance.identity import Credentials
from appliance.lesson import Lesson
from appliance.settings import RelaySection


class Stage(Protocol):
    """The director."""

    notice: Fault | None

    @property
    def lesson(self) -> Lesson:
        """The state now."""
        ...

    @property
    def board(self) -> Health:
        """How the board is."""
        ...

    def preview(self, wanted: bool) -> bool:
        """Open the preview, or close it. Whether it is open now."""
        ...


class Devices(Protocol):
    """The crew."""

    def hearing(self) -> SoundFigures | None:
        """The lesson's voice now."""
        ...

    def use_camera(self, camera: Camera) -> None:
        """Take this camera from the next lesson (or curtain) on."""
        ...


class Way(Protocol):
    """The link to the relay."""

    @property
    def credentials(self) -> Credentials | None:
        """What the relay told at enrolment."""
        ...

    def face(self) -> LinkFace:
        """The link now."""
        ...

    def use(self, relay: RelaySection, credentials: Credentials) -> None:
        """Go this way from now on."""
        ...
