"""The last resort asks the service manager, once, and survives a refusal. The ``systemctl`` here is a script."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.reboot import reboot


def service_manager(folder: Path, monkeypatch: pytest.MonkeyPatch, exit_code: int) -> Path:
    """A ``systemctl`` that notes what it is asked; its notes."""
    notes = folder / "asked"
    script = folder / "systemctl"
    script.write_text(f'#!/bin/sh\necho "$@" >> {notes}\nexit {exit_code}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return notes


@pytest.mark.parametrize(("exit_code", "told"), [(0, False), (4, True)])
async def test_the_service_manager_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, exit_code: int, told: bool
) -> None:
    notes = service_manager(tmp_path, monkeypatch, exit_code)
    await reboot()
    assert notes.read_text() == "--no-block reboot\n"
    assert ("cannot reboot: systemctl ended with 4" in caplog.text) is told


async def test_a_kit_without_a_service_manager_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    await reboot()
    assert "cannot reboot" in caplog.text
