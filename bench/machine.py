"""What machine gave the figures."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from tests.browser.chromium import chromium_path


def describe() -> str:
    """One paragraph: processor, cores, kernel, load, and the versions that matter."""
    browser = subprocess.run([chromium_path(), "--version"], capture_output=True, text=True, check=True, timeout=30)
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return (
        f"{_processor()}, {os.cpu_count()} cores, Linux {platform.release()}, load {load}\n"
        f"Python {platform.python_version()}, {browser.stdout.strip().splitlines()[-1]}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Model"}:
            return value.strip()
    return platform.machine()
