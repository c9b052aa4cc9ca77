"""The Raspberry Pi's camera, through picamera2. Runs inside the camera worker (``worker_process.py``).

The only module that imports picamera2 and libcamera, in the function that opens them. One thread asks the camera for
picture after picture and encodes each itself, on the hardware encoder where there is one (Pi 3, 4, Zero 2 W) and with
libx264 where there is none (Pi 5): picamera2's own recording encodes under its lock, so that a stuck encoder would
freeze the camera, and shows nobody a picture before it is sent. Here each picture's crop is looked at first: one that
shows more than ``camera.crop`` is not sent.

The camera gives two streams: ``main``, the whole sensor mode, for board stills, and ``lores``, which is encoded. Not
here: what a sensor can do (``sensor.py``), hanging and crashing (``worker.py``).
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from appliance.capture.base import AccessUnit
from appliance.capture.clock import LessonClock, boot_clock_us
from appliance.capture.h264 import H264Encoder
from appliance.capture.hardware_encoder import HardwareEncoder
from appliance.capture.pictures import Plane, new_frame
from appliance.capture.raw_pictures import Format, Layout, fill, picture
from appliance.capture.sensor import (
    Crop,
    Flip,
    Mode,
    Orientation,
    Rectangle,
    Wanted,
    choose_mode,
    lies_within,
    plan_controls,
)
from appliance.capture.sensor_time import Pace, SensorTime
from appliance.capture.thread import CaptureThread
from appliance.capture.threaded_camera import ThreadedCamera
from appliance.errors import CameraUnavailable

if TYPE_CHECKING:
    from picamera2 import Picamera2
    from picamera2.request import CompletedRequest

NO_PICTURE_S = 1.5  # before the kit's own patience ends (worker.py), so that the reason is told
OTHER_CROPS = 30  # pictures from before the sensor heard of its crop: three or four are usual
QUEUED_PICTURES = 3  # a tenth of a second, as the simulated camera's
HARDWARE_ENCODER = Path("/dev/video11")  # where Raspberry Pi's kernel puts it, and picamera2 looks for it
HARDWARE_MOST = (1920, 1080)
SENT, STILL = "lores", "main"  # libcamera's names of the two streams


class PiCamera:
    """The camera that ``[camera]`` of kit.toml describes; arguments are in JSON's types, for the way to the worker."""

    def __init__(
        self,
        width: int = 1280,
        height: int = 720,
        fps: int = 30,
        bitrate_bps: int = 1_700_000,
        key_frame_every_s: float = 2.0,
        crop: Sequence[float] = (0.0, 0.0, 1.0, 1.0),
        rotation: Literal[0, 180] = 0,
        flip: Flip = "none",
        focus: Literal["continuous", "fixed"] = "continuous",
        focus_m: float = 3.0,
        exposure_ms: float = 0.0,
    ) -> None:
        left, top, wide, high = crop
        area: Crop = (left, top, wide, high)
        self._wanted = Wanted(width, height, fps, area, focus, focus_m, exposure_ms)
        self._orientation = Orientation(rotation, flip)
        self._bitrate_bps = bitrate_bps
        self._key_frame_every_s = key_frame_every_s

    def prepare(self) -> None:
        """Load picamera2 and libcamera's bindings; neither opens a device for that. Raises ``CameraUnavailable``."""
        _libraries()

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[PiCameraStream]:
        """Open and start the camera. Raises ``CameraUnavailable``."""
        device = await asyncio.to_thread(Device.open, self._wanted, self._orientation)
        try:
            stream = PiCameraStream(device, self._wanted, self._bitrate_bps, self._key_frame_every_s, clock)
            try:
                yield stream
            finally:
                await stream.close()
        finally:
            await asyncio.to_thread(device.close)


class Device:
    """picamera2, open and giving pictures."""

    def __init__(self, camera: Picamera2, crop: Rectangle | None, view: Rectangle) -> None:
        self.camera = camera
        self.view = view[2], view[3]
        self._crop = crop
        configuration = camera.camera_configuration()
        self.layouts = {name: _layout(configuration[name]) for name in (SENT, STILL)}

    @classmethod
    def open(cls, wanted: Wanted, orientation: Orientation) -> Device:
        """Open the first camera as wanted. Raises ``CameraUnavailable``. Blocks for some hundred milliseconds."""
        Picamera2 = _libraries()  # noqa: N806 - the class
        if not Picamera2.global_camera_info():
            raise CameraUnavailable("no camera is connected; look at its ribbon cable, at both ends")
        try:
            camera = Picamera2()
        except RuntimeError as error:  # what picamera2 raises for everything, "in use by another process" included
            raise CameraUnavailable(f"the camera cannot be opened: {error.__cause__ or error}") from error
        try:
            return cls(camera, *_start(camera, wanted, orientation))
        except (RuntimeError, ValueError) as error:
            camera.close()
            raise CameraUnavailable(f"the camera cannot be started: {error}") from error
        except BaseException:
            camera.close()
            raise

    def next(self) -> CompletedRequest:
        """The next picture that may be shown; to be released. Raises ``CameraUnavailable`` when none comes."""
        for _ in range(OTHER_CROPS + 1):
            try:
                request = self.camera.capture_request(wait=NO_PICTURE_S)
            except TimeoutError:
                raise CameraUnavailable(f"the camera gave no picture for {NO_PICTURE_S} s; is it plugged in?") from None
            shown = request.get_metadata().get("ScalerCrop")
            if self._crop is None or (shown is not None and lies_within(shown, self._crop)):
                return request
            request.release()
        raise CameraUnavailable(f"camera.crop: the camera shows {shown} of its sensor, not only {self._crop}")

    def buffer(self, request: CompletedRequest, name: str) -> Plane:
        """A stream's picture, copied out of the camera's memory."""
        copied: Plane = request.make_buffer(name)
        return copied

    def close(self) -> None:
        """Let go of the camera. May block for ever when it was lost: the worker is killed then."""
        self.camera.close()


class PiCameraStream(ThreadedCamera):
    """The open camera. A still is of the whole sensor mode: copied between two pictures, developed beside them."""

    def __init__(
        self, device: Device, wanted: Wanted, bitrate_bps: int, key_frame_every_s: float, clock: LessonClock
    ) -> None:
        super().__init__()
        self._device = device
        self.view: tuple[int, int] | None = device.view  # base.SensorView
        self._time = SensorTime(clock)
        self._pace = Pace(wanted.fps)
        self._layout = device.layouts[SENT]
        self._frame = new_frame(self._layout.width, self._layout.height)
        rate = (bitrate_bps, key_frame_every_s)
        self._encoder: HardwareEncoder | H264Encoder = _hardware_encoder(
            device.camera, wanted, *rate, self._give
        ) or H264Encoder(self._layout.width, self._layout.height, wanted.fps, *rate, bt709=True)
        self._start("picamera", QUEUED_PICTURES)

    def force_key_frame(self) -> None:
        """Make the next picture a key frame."""
        self._encoder.force_key_frame()

    def set_bitrate(self, bits_per_s: int) -> None:
        """Aim at this rate from the next picture on."""
        self._encoder.set_bitrate(bits_per_s)

    def set_frame_rate(self, fps: int) -> None:
        """Leave pictures out before they are encoded, from the next one on."""
        self._encoder.set_frame_rate(self._pace.set_frame_rate(fps))

    async def close(self) -> None:
        """Stop the thread and the encoder."""
        await super().close()
        if isinstance(self._encoder, HardwareEncoder):
            await asyncio.to_thread(self._encoder.close)

    def _capture(self, thread: CaptureThread[AccessUnit]) -> None:
        while not thread.stopping():
            request = self._device.next()
            try:
                self._take(thread, request)
            finally:
                request.release()

    def _take(self, thread: CaptureThread[AccessUnit], request: CompletedRequest) -> None:
        stamp_ns = request.get_metadata().get("SensorTimestamp")
        stamp_us = None if stamp_ns is None else stamp_ns // 1000
        capture_us = self._time.lesson_us(stamp_us, boot_clock_us())
        if self._stills.wanted():
            raw, layout = self._device.buffer(request, STILL), self._device.layouts[STILL]
            self._stills.give(lambda: picture(raw, layout))
        if not self._pace.due(capture_us) or not thread.has_room():
            return
        if isinstance(self._encoder, HardwareEncoder):
            self._encoder.encode(SENT, request, stamp_us or 0, capture_us)
        else:
            fill(self._frame, self._device.buffer(request, SENT), self._layout)
            thread.put(self._encoder.encode(self._frame, capture_us))

    def _give(self, unit: AccessUnit) -> None:
        self._thread.put(unit)


def _libraries() -> Any:
    """picamera2's class, with all that it and ``_hardware_encoder`` import. Raises ``CameraUnavailable``."""
    try:
        from picamera2 import Picamera2
    except ImportError as error:
        raise CameraUnavailable(
            f"camera.kind: picamera2 is missing ({error}); install Debian's python3-picamera2, or set camera.kind "
            'to "simulated"'
        ) from error
    logging.getLogger("picamera2").setLevel(logging.WARNING)  # it tells every step at "info"
    return Picamera2


def _start(camera: Picamera2, wanted: Wanted, orientation: Orientation) -> tuple[Rectangle | None, Rectangle]:
    """Configure and start the camera; the crop it was told, if it crops, and all that it could show."""
    import libcamera

    mode = _mode(camera, wanted)
    form = _format(camera, libcamera)
    across, down = orientation.mirrored
    configuration = camera.create_video_configuration(
        main={"size": _still_size(mode, wanted), "format": form},
        lores={"size": (wanted.width, wanted.height), "format": form},
        transform=libcamera.Transform(hflip=across, vflip=down),
        colour_space=libcamera.ColorSpace.Rec709(),
        **({} if mode is None else {"sensor": {"output_size": mode.size, "bit_depth": mode.bit_depth}}),
    )
    camera.configure(configuration)
    got = camera.camera_configuration()[SENT]["size"]
    if tuple(got) != (wanted.width, wanted.height):
        raise CameraUnavailable(
            f"camera.width and height: {wanted.width} × {wanted.height} is not what this camera can do; "
            f"nearest: {got[0]} × {got[1]}"
        )
    limits = camera.camera_controls
    view: Rectangle = limits["ScalerCrop"][1] if "ScalerCrop" in limits else (0, 0, wanted.width, wanted.height)
    controls = plan_controls(limits, view, wanted)
    camera.set_controls({name: value for name, value in controls.items() if name in limits})
    camera.start()
    crop: Any = controls.get("ScalerCrop")
    return None if crop is None else tuple(crop), view


def _mode(camera: Picamera2, wanted: Wanted) -> Mode | None:
    """The sensor mode for this lesson; None for a camera without modes, such as one at USB."""
    modes = [
        Mode(tuple(mode["size"]), mode["fps"], tuple(mode["crop_limits"]), mode["bit_depth"])
        for mode in camera.sensor_modes
        if "size" in mode
    ]
    return choose_mode(modes, wanted) if modes else None


def _still_size(mode: Mode | None, wanted: Wanted) -> tuple[int, int]:
    """All of the mode's columns, in the shape of the picture: both streams show the same part of the sensor."""
    if mode is None:
        return wanted.width, wanted.height
    fit = min(mode.size[0] / wanted.width, mode.size[1] / wanted.height)
    return int(fit * wanted.width) & ~1, int(fit * wanted.height) & ~1


def _format(camera: Picamera2, libcamera: Any) -> Format:
    offered = camera.camera.generate_configuration([libcamera.StreamRole.VideoRecording]).at(0).formats.pixel_formats
    for form in get_args(Format):
        if form in {str(pixels) for pixels in offered}:
            known: Format = form
            return known
    gives = ", ".join(map(str, offered))
    raise CameraUnavailable(f"the camera gives none of {', '.join(get_args(Format))}, but {gives}")


def _layout(stream: dict[str, Any]) -> Layout:
    width, height = stream["size"]
    return Layout(stream["format"], width, height, stream["stride"])


def _hardware_encoder(
    camera: Picamera2, wanted: Wanted, bitrate_bps: int, key_frame_every_s: float, give: Callable[[AccessUnit], None]
) -> HardwareEncoder | None:
    """The board's hardware encoder, started; None where there is none."""
    from picamera2.platform import Platform, get_platform

    if get_platform() != Platform.VC4 or not HARDWARE_ENCODER.exists():
        return None
    if wanted.width * wanted.height > HARDWARE_MOST[0] * HARDWARE_MOST[1]:
        raise CameraUnavailable(
            f"camera.width and height: {wanted.width} × {wanted.height} is more than this board's encoder takes; "
            f"nearest: {HARDWARE_MOST[0]} × {HARDWARE_MOST[1]}"
        )
    from picamera2.encoders import H264Encoder as PiEncoder
    from picamera2.outputs import Output

    device = PiEncoder(
        bitrate=bitrate_bps,
        repeat=True,
        iperiod=round(wanted.fps * key_frame_every_s),
        framerate=wanted.fps,
        profile="constrained baseline",
    )
    stream = camera.camera_configuration()[SENT]
    device.name, device.size, device.format, device.stride = SENT, stream["size"], stream["format"], stream["stride"]
    encoder = HardwareEncoder(device, bitrate_bps, give)

    class Encoded(Output):  # type: ignore[misc]
        def outputframe(
            self, frame: bytes, keyframe: bool = True, timestamp: int = 0, packet: object = None, audio: bool = False
        ) -> None:
            encoder.encoded(frame, timestamp)

    device.output = Encoded()
    try:
        device.start()
    except OSError as error:
        raise CameraUnavailable(f"the hardware encoder {HARDWARE_ENCODER} cannot be opened: {error}") from error
    return encoder


def main() -> int:
    """Exit code 0 where a camera is connected. It is not opened: for who may not (``update/kit_state.py``)."""
    return 0 if _libraries().global_camera_info() else 1


if __name__ == "__main__":
    sys.exit(main())
