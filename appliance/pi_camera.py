"""From ``[camera]`` of kit.toml to the Raspberry Pi's camera, in a worker: libcamera and its encoder can hang.

Named by ``kit.py``. Imports no camera: the worker does, from the recipe.
"""

from __future__ import annotations

from appliance.capture.worker import WorkerCamera
from appliance.capture.worker_child import Recipe
from appliance.power import reboot, stay
from appliance.settings import CameraSection


def pi_camera(settings: CameraSection) -> WorkerCamera:
    """The camera, closed."""
    options = {
        "width": settings.width,
        "height": settings.height,
        "fps": settings.fps,
        "bitrate_bps": settings.bitrate_kbps * 1000,
        "key_frame_every_s": settings.key_frame_every_s,
        "crop": settings.crop,
        "rotation": settings.rotation,
        "flip": settings.flip,
        "focus": settings.focus,
        "focus_m": settings.focus_m,
        "exposure_ms": settings.exposure_ms,
    }
    recipe = Recipe("appliance.capture.picamera:PiCamera", options)
    return WorkerCamera(recipe, on_lost=reboot if settings.reboot_when_lost else stay)
