"""What the kit tells the service manager: what it does, and what has to advance. Used by ``kit.py``.

Not here: how it is told (``service/``). Pure, but for the tasks it looks at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Literal

from appliance.capture.fanout import Source
from appliance.hw.base import Face
from service.vitals import Vital, Vitals
from service.watch import alive
from wire.messages import KitState, KitStatus

# Camera and microphone heal by themselves (``capture/worker.py``, ``capture/fanout.py``): longer than they may take for
# that (78.5 s for a worker's three starts, 30 s between two openings). Beyond, an opening or a closing hangs.
SOURCE_ADVANCES_WITHIN_S = 90.0

_STATES: Mapping[KitState | Literal["preview"], str] = {
    "idle": "ready",
    "preview": "being set up",
    "starting": "connecting",
    "live": "on air",
    "degraded": "not live",
    "curtain": "curtain closed",
    "ending": "ending",
    "fault": "fault",
}


def vitals_of(tasks: Iterable[asyncio.Task[None]], sources: Iterable[Source]) -> Vitals:
    """What makes this kit a living one: the event loop (which looks), its tasks, and whatever keeps its sources."""
    return Vitals(
        *(alive(task) for task in tasks),
        *(Vital(source.name, SOURCE_ADVANCES_WITHIN_S, source.sign) for source in sources),
    )


def status_text(face: Face) -> str:
    """What ``systemctl status`` says of the kit."""
    parts = [_STATES[face.state]]
    if face.recording in {"lost", "off"}:
        parts.append("not recorded")
    if face.state == "live":
        viewers = face.link.viewers or 0
        parts.append(f"{viewers} viewer{'' if viewers == 1 else 's'}")
    if face.link.control != "up":
        parts.append("not enrolled" if face.link.control == "not_enrolled" else "no relay")
    if face.fault is not None:
        parts.append(face.fault.reason)
    if face.notice is not None:
        parts.append(face.notice.reason)
    return ", ".join(parts)


def log_fields(status: KitStatus) -> dict[str, str]:
    """What every line of the kit's journal carries."""
    lesson = {} if status.lesson is None else {"PARTA_LESSON": status.lesson.lesson_id}
    return {"PARTA_STATE": status.state, **lesson}
