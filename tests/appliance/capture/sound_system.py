"""A machine's sound system without a sound card: PulseAudio's real server, ALSA's real plug-ins, microphones that can
be plugged in and out. A process writes what each hears, at its own pace. ``make test-audio`` brings what it needs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import pytest

PATIENCE_S = 10.0
POLL_S = 0.05
RATE_HZ = 48_000
Voice = Literal["tone", "low_tone", "dead", "overdriven"]
CARDS = ("usb_pult", "spare_usb")  # what ALSA, and so PortAudio, calls them

_PCM = """
pcm.{name} {{ type pulse server "unix:{socket}" device "{name}" hint {{ show on description "a microphone" }} }}
"""


def missing() -> str | None:
    """What this machine lacks, for a skip that says what to do."""
    lacks = [name for name in ("pulseaudio",) if shutil.which(name) is None]
    lacks += [] if find_spec("pyaudio") else ["PyAudio"]
    lacks += [] if any(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")) else ["libasound2-plugins"]
    return f"{', '.join(lacks)} not installed; run: make test-audio" if lacks else None


needs_sound = pytest.mark.skipif(missing() is not None, reason=str(missing()))


class SoundSystem:
    """Microphones, each a sound server of its own: one that is pulled out takes its server with it, for a server would
    move whoever listens to its other source. ``listing`` changes with every plug, as the kernel's list does.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._plugged: dict[str, tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]] = {}
        self._changes = 0

    def socket(self, name: str) -> Path:
        return self._folder / f"{name}.sock"

    def listing(self) -> str:
        return str(self._changes)

    def plug(self, name: str, voice: Voice = "tone") -> None:
        """Plug a microphone in; from now on it hears ``voice``."""
        pipe = self._folder / f"{name}.pipe"
        source = f"module-pipe-source source_name={name} file={pipe} format=s16le rate={RATE_HZ} channels=1"
        protocol = f"module-native-protocol-unix socket={self.socket(name)} auth-anonymous=1"
        server = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes",
             "-L", source, "-L", protocol],
            env={**os.environ, "HOME": str(self._folder), "XDG_RUNTIME_DIR": str(self._folder), "LC_ALL": "C"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE_S
        while not pipe.exists():
            if time.monotonic() > deadline:
                server.kill()
                raise TimeoutError("pulseaudio did not start")
            time.sleep(POLL_S)
        command = [sys.executable, "-m", "tests.appliance.capture.speaker", str(pipe), voice]
        speaker = subprocess.Popen(command, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE)
        self._plugged[name] = server, speaker
        assert speaker.stdout is not None
        speaker.stdout.readline()  # it speaks
        self._changes += 1

    def unplug(self, name: str) -> None:
        """Pull it out while it speaks."""
        server, speaker = self._plugged.pop(name)
        server.kill()
        speaker.kill()
        server.wait(PATIENCE_S)
        speaker.communicate(timeout=PATIENCE_S)
        self.socket(name).unlink(missing_ok=True)
        (self._folder / f"{name}.pipe").unlink(missing_ok=True)
        self._changes += 1

    def close(self) -> None:
        for name in list(self._plugged):
            self.unplug(name)


@contextmanager
def sound_system(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[SoundSystem]:
    """A sound system that this process's ALSA knows, and no other."""
    system = SoundSystem(folder)
    conf = folder / "asound.conf"
    cards = "".join(_PCM.format(name=name, socket=system.socket(name)) for name in CARDS)
    conf.write_text(f"</usr/share/alsa/alsa.conf>\n{cards}")
    patch.setenv("ALSA_CONFIG_PATH", str(conf))
    try:
        yield system
    finally:
        system.close()
