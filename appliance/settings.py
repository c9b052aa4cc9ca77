"""The kit's settings: frozen, strictly parsed, and the same as ``config/kit.toml`` by default.

Not here: reading files (``config/strict_toml.py``) and acting on a setting (``kit.py``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from appliance.hw.pins import NOT_THERE, pin_trouble
from config.strict_toml import ConfigurationError, load

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Pin = Annotated[int, msgspec.Meta(ge=0, le=27)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]  # of the sensor's width or height


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class KitSection(_Section, frozen=True, kw_only=True):
    """``[kit]``"""

    state_dir: str = "/var/lib/parta-kit"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class RelaySection(_Section, frozen=True, kw_only=True):
    """``[relay]``: where the lesson goes. ``enrol_code`` is used once; the kit's key makes it needless after."""

    url: str = "http://127.0.0.1:8080"
    enrol_code: str = ""
    proxy: str = ""
    ca_file: str = ""


class CameraSection(_Section, frozen=True, kw_only=True):
    """``[camera]``. From ``crop`` on, what only ``kind = "picamera2"`` can do."""

    kind: Literal["simulated", "file", "picamera2"] = "simulated"
    width: Annotated[int, msgspec.Meta(ge=160, le=3840, multiple_of=2)] = 1280
    height: Annotated[int, msgspec.Meta(ge=120, le=2160, multiple_of=2)] = 720
    fps: Annotated[int, msgspec.Meta(ge=1, le=60)] = 30
    bitrate_kbps: Annotated[int, msgspec.Meta(ge=100, le=20_000)] = 1700
    bitrate_min_kbps: Annotated[int, msgspec.Meta(ge=50, le=20_000)] = 150
    key_frame_every_s: Annotated[float, msgspec.Meta(ge=0.5, le=10)] = 1.8
    file: str = ""
    loop: bool = True
    crop: tuple[Share, Share, Share, Share] = (0.0, 0.0, 1.0, 1.0)
    rotation: Literal[0, 180] = 0
    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    focus: Literal["continuous", "fixed"] = "continuous"
    focus_m: Annotated[float, msgspec.Meta(ge=0.05, le=100)] = 3.0
    exposure_ms: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.0
    stay_loaded: bool = True
    reboot_when_lost: bool = False


class MicrophoneSection(_Section, frozen=True, kw_only=True):
    """``[microphone]``"""

    kind: Literal["simulated", "alsa", "file", "none"] = "simulated"
    device: str = ""
    second_device: str = ""
    clean: bool = True
    noise_suppression: Annotated[int, msgspec.Meta(ge=0, le=4)] = 2
    auto_gain_dbfs: Annotated[int, msgspec.Meta(ge=0, le=31)] = 3
    bitrate_bps: Annotated[int, msgspec.Meta(ge=6_000, le=128_000)] = 24_000
    file: str = ""
    loop: bool = True


class PinsSection(_Section, frozen=True, kw_only=True):
    """``[panel.pins]``: BCM numbers; 0: this kit has no such part. The default fits a Pi without a HAT."""

    start: Pin = 17
    curtain: Pin = 27
    still: Pin = 22
    tally: tuple[Pin, Pin, Pin] = (5, 6, 13)
    start_light: Pin = 0
    curtain_light: Pin = 0
    still_light: Pin = 0
    buzzer: Pin = 0


class PanelSection(_Section, frozen=True, kw_only=True):
    """``[panel]``: ``simulated`` serves the panel as a web page on ``host``:``port``; ``gpio`` is the rest."""

    kind: Literal["simulated", "gpio", "none"] = "simulated"
    host: str = "127.0.0.1"
    port: Port = 8090
    lamp: Literal["rgb", "leds", "none"] = "rgb"
    lamp_lit_by: Literal["high", "low"] = "high"
    pwm: bool = True
    allow_i2c: bool = False
    pins: PinsSection = PinsSection()


class RecordingSection(_Section, frozen=True, kw_only=True):
    """``[recording]``: the lesson on the kit's own disk, until the relay has it."""

    enabled: bool = True
    quota_mb: Annotated[int, msgspec.Meta(ge=100, le=10_000_000)] = 16_000
    upload_share: Annotated[float, msgspec.Meta(ge=0.05, le=1)] = 0.25


class NetworkSection(_Section, frozen=True, kw_only=True):
    """``[network]``: how the kit is found on the local network."""

    announce: bool = True


class SetupSection(_Section, frozen=True, kw_only=True):
    """``[setup]``: the kit's own page on the local network, behind its PIN."""

    enabled: bool = True
    host: str = "0.0.0.0"  # noqa: S104  # a page for the school's network, or it would be none
    port: Port = 8091


class UpdateSection(_Section, frozen=True, kw_only=True):
    """``[update]``: where new versions are announced, and how fast they may come."""

    channel: str = ""
    download_kb_s: Annotated[int, msgspec.Meta(ge=10, le=1_000_000)] = 1000


class KitSettings(_Section, frozen=True, kw_only=True):
    """Everything that ``kit.toml`` can say."""

    kit: KitSection = KitSection()
    relay: RelaySection = RelaySection()
    camera: CameraSection = CameraSection()
    microphone: MicrophoneSection = MicrophoneSection()
    panel: PanelSection = PanelSection()
    recording: RecordingSection = RecordingSection()
    network: NetworkSection = NetworkSection()
    setup: SetupSection = SetupSection()
    update: UpdateSection = UpdateSection()


def load_settings(path: Path) -> KitSettings:
    """Read and check a ``kit.toml``. Raises ``ConfigurationError``."""
    settings = load(path, KitSettings)
    check(settings, origin=str(path))
    return settings


def check(settings: KitSettings, *, origin: str) -> None:
    """What no single key can say. Raises ``ConfigurationError``."""
    for section, part in (("camera", settings.camera), ("microphone", settings.microphone)):
        if part.kind == "file" and not part.file:
            raise ConfigurationError(f'{origin}: {section}.file: is empty, and {section}.kind is "file"; name a video')
    if settings.camera.bitrate_min_kbps > settings.camera.bitrate_kbps:
        raise ConfigurationError(f"{origin}: camera.bitrate_min_kbps: must not be more than camera.bitrate_kbps")
    left, top, width, height = settings.camera.crop
    if not (width > 0 and height > 0 and max(left + width, top + height) <= 1 + 1e-9):
        raise ConfigurationError(
            f"{origin}: camera.crop: is [left, top, width, height] in shares of the sensor; left + width and "
            "top + height are at most 1, and neither width nor height is 0"
        )
    if not settings.relay.url.startswith(("http://", "https://")):
        raise ConfigurationError(f"{origin}: relay.url: must start with https:// (or http:// on a trusted wire)")
    if settings.relay.proxy and not settings.relay.proxy.startswith(("http://", "https://")):
        raise ConfigurationError(f"{origin}: relay.proxy: must start with http:// (or https://)")
    if settings.update.channel and not settings.update.channel.startswith("https://"):
        raise ConfigurationError(f"{origin}: update.channel: must start with https://")
    same_port = settings.panel.kind == "simulated" and settings.setup.port == settings.panel.port
    if settings.setup.enabled and same_port:
        raise ConfigurationError(f"{origin}: setup.port: is panel.port, too; set another one")
    if trouble := panel_trouble(settings.panel):
        raise ConfigurationError(f"{origin}: {trouble}")


def panel_trouble(panel: PanelSection) -> str | None:
    """What is wrong with the pin map, as ``full key: reason; remedy``, or ``None``."""
    pins = {f"panel.pins.{name}": pin for name, pin in msgspec.structs.asdict(panel.pins).items() if name != "tally"}
    tally = {f"panel.pins.tally[{at}]": pin for at, pin in enumerate(panel.pins.tally)} if panel.lamp != "none" else {}
    if panel.kind == "gpio" and panel.pins.start == NOT_THERE:
        return 'panel.pins.start: is 0, and a panel needs its start button; name its pin, or set panel.kind = "none"'
    if dark := next((name for name, pin in tally.items() if pin == NOT_THERE), None):
        return f'{dark}: is 0, and panel.lamp is "{panel.lamp}"; name three pins, or set panel.lamp = "none"'
    return pin_trouble((pins | tally).items(), allow_i2c=panel.allow_i2c)
