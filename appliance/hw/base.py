"""What a panel is: edges of buttons come in, a face goes out.

A leaf of ``hw``: ``simulated/``, ``gpio/`` and ``none.py`` implement it, ``director.py`` uses it. Not here: what a
press means (``gestures.py``) and how a tally looks (``patterns.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from appliance.capture.clock import LessonClock
from appliance.hw.health import Health
from appliance.hw.patterns import Pattern, pattern_of
from appliance.lesson import Recording, Signal
from wire.messages import KitState

if TYPE_CHECKING:
    from appliance.capture.sound_meter import SoundFigures  # its numpy is nothing that a panel waits for

Button = Literal["start", "curtain", "still"]
BUTTONS: tuple[Button, ...] = ("start", "curtain", "still")

Cue = Literal["begun", "ended", "fault"]


@dataclass(frozen=True, slots=True)
class Edge:
    """A button went down or up at ``at_s``, on the monotonic clock."""

    button: Button
    pressed: bool
    at_s: float


@dataclass(frozen=True, slots=True)
class LessonFace:
    """The lesson that runs."""

    lesson_id: str
    clock: LessonClock


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, for a person: ``key`` is stable, ``reason`` is one line that says what to do."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFace:
    """How the way to the pupils is. ``None`` is "not known now"."""

    control: Literal["up", "down", "not_enrolled"] = "down"
    publisher: Literal["up", "connecting", "down"] = "down"
    relay: str = ""
    class_path: str | None = None
    viewers: int | None = None
    viewers_receiving: int | None = None
    rtt_ms: float | None = None
    loss: float | None = None
    bitrate_kbps: float | None = None
    target_kbps: int | None = None
    fps: int | None = None
    reconnects: int = 0
    waiting_s: int = 0  # about how much of recorded lessons the relay lacks
    relay_full: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """All that a panel can tell. A real one shows the tally and the hold; a page shows the rest too.

    ``voiceless``: the kit has no microphone, by its settings. ``recording``: whether the lesson that runs is being
    recorded. ``notice``: something to put right, which no lesson waits for.
    """

    state: KitState | Literal["preview"] = "idle"
    tally: Signal = "off"
    hold: float = 0.0
    hold_for: Literal["end", "shut_down"] | None = None
    lesson: LessonFace | None = None
    fault: Fault | None = None
    sound: SoundFigures | None = None
    voiceless: bool = False
    recording: Recording | None = None
    health: Health = field(default_factory=Health)
    notice: Fault | None = None
    link: LinkFace = field(default_factory=LinkFace)

    @property
    def pattern(self) -> Pattern:
        """What the tally lamp plays."""
        return pattern_of(self.tally, notice=self.notice is not None)


class OpenPanel(Protocol):
    """A panel that is on."""

    @property
    def buzzer(self) -> Buzzer:
        """Its voice; ``NoBuzzer`` where it has none."""
        ...

    def show(self, face: Face) -> None:
        """Show this from now on. Returns at once, never raises: a lamp cannot stop a lesson."""
        ...


class Panel(Protocol):
    """A configured panel, off."""

    def open(self, on_edge: Callable[[Edge], None]) -> AbstractAsyncContextManager[OpenPanel]:
        """Switch it on. ``on_edge`` is called on the event loop. Raises ``PanelUnavailable``."""
        ...


class Buzzer(Protocol):
    """A panel's voice."""

    def sound(self, cue: Cue) -> None:
        """Start the cue; returns at once."""
        ...


class NoBuzzer:
    """A panel without a voice."""

    def sound(self, cue: Cue) -> None:
        """Nothing to sound."""
