"""What a simulated microphone hears, written to its pipe at the pace of sound: ``python -m … PIPE VOICE``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

RATE_HZ, STEP = 48_000, 480


def voice(name: str, first: int) -> npt.NDArray[np.int16]:
    """10 ms from the sample ``first`` on."""
    at_s = np.arange(first, first + STEP) / RATE_HZ
    hertz = 220 if name == "low_tone" else 440
    loud = {"dead": 0.0, "overdriven": 100_000.0}.get(name, 10_000.0)
    return np.clip(loud * np.sin(2 * np.pi * hertz * at_s), -32768, 32767).astype(np.int16)


def main() -> None:
    """Speak until the pipe is gone."""
    with Path(sys.argv[1]).open("wb", buffering=0) as pipe:
        began_s, first = time.monotonic(), 0
        while True:
            try:
                pipe.write(voice(sys.argv[2], first).tobytes())
            except BrokenPipeError:
                return
            if not first:
                print("speaking", flush=True)
            first += STEP
            time.sleep(max(0.0, began_s + first / RATE_HZ - time.monotonic()))


if __name__ == "__main__":
    main()
