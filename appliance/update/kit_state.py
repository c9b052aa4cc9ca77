"""The running kit as its service manager sees it: is it ready, does a lesson go on, does it reach its relay?

Reads ``systemctl show``: an update may not disturb the kit's own process. The words are ``service_report.py``'s. Used
by ``source.py``, ``trial.py`` and ``commands/update*.py``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from appliance.settings import CameraSection
from appliance.update.tools import run

UNIT = "parta-kit.service"
ANSWER_S = 30.0
#: How often it is looked at by whoever waits for another state.
LOOK_EVERY_S = 2.0
#: libcamera is loaded from a slow card, and asks each sensor.
CAMERA_S = 90.0
#: What the kit says first where nobody teaches: ``service_report.py``.
AT_REST = frozenset({"", "ready", "fault"})


@dataclass(frozen=True, slots=True)
class KitState:
    """``active``, ``result``: systemd's words. ``said``: the kit's own, parted by ", "."""

    active: str
    result: str
    said: str

    @property
    def ready(self) -> bool:
        """Whether it has said READY."""
        return self.active == "active"

    @property
    def gave_up(self) -> bool:
        """Whether nobody starts it any more."""
        return self.active == "failed"

    @property
    def in_use(self) -> bool:
        """Whether a lesson goes on, or somebody sets the kit up."""
        return self.ready and self.said.split(", ")[0] not in AT_REST

    @property
    def reaches_relay(self) -> bool:
        """Whether it is connected to its relay, and the relay knows it."""
        words = self.said.split(", ")
        return self.ready and words[0] != "" and not {"no relay", "not enrolled"} & {*words}


def state_of(shown: str) -> KitState:
    """The state, from what ``systemctl show`` prints."""
    said = dict(line.partition("=")[::2] for line in shown.splitlines())
    return KitState(said.get("ActiveState", ""), said.get("Result", ""), said.get("StatusText", ""))


def read_kit_state() -> KitState:
    """The state now; of a service manager that does not answer, nothing."""
    done = run(["systemctl", "show", "--property=ActiveState,Result,StatusText", UNIT], ANSWER_S)
    return state_of(done.said)


def camera_is_seen(section: CameraSection) -> bool:
    """Whether a camera is connected. It is not opened. In a process of its own, because a driver may hang."""
    return section.kind != "picamera2" or run([sys.executable, "-m", "appliance.capture.picamera"], CAMERA_S).code == 0
