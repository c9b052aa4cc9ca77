"""``parta-kit`` with one thing changed, as a program: ``python -m tests.systemd.odd_kits WHICH run --config FILE``.

For faults that no setting can bring about: an event loop that hangs, and a worker around a camera that needs no Pi.
"""

from __future__ import annotations

import asyncio
import sys
import time

from appliance import cli, director, kit
from appliance.capture.base import Camera
from appliance.capture.worker import Patience, WorkerCamera
from appliance.capture.worker_child import Recipe
from appliance.hw.base import Edge
from appliance.settings import CameraSection
from tests.appliance.capture import faulty_cameras

ANSWERED_S = 0.2  # the press gets its answer first
HANGS_FOR_S = 3600.0


def hang() -> None:
    """Block the event loop, as any call that forgot that it blocks would."""
    time.sleep(HANGS_FOR_S)


def hang_on_a_still() -> None:
    """Pressing still hangs the kit."""
    takes = director.Director.edge

    def edge(self: director.Director, edge: Edge) -> None:
        takes(self, edge)
        if edge.button == "still":
            asyncio.get_running_loop().call_later(ANSWERED_S, hang)

    director.Director.edge = edge  # type: ignore[method-assign]


def film_in_a_worker() -> None:
    """The Pi's worker, with the simulated camera in it."""
    patience = Patience(first_picture_s=15.0, silent_s=1.0, close_s=0.5, reap_s=0.5)

    def new_camera(_: CameraSection) -> Camera:
        return WorkerCamera(Recipe(f"{faulty_cameras.__name__}:healthy", {}), patience)

    kit._new_camera = new_camera  # type: ignore[assignment]


ODD = {"hangs-on-a-still": hang_on_a_still, "films-in-a-worker": film_in_a_worker}

if __name__ == "__main__":
    ODD[sys.argv[1]]()
    raise SystemExit(cli.main(sys.argv[2:]))
