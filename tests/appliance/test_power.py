"""Switching off and rebooting are asked for by a file, where somebody watches for it, and never stop the kit."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.power import FOLDER, reboot, switch_off


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_the_system_is_asked_by_a_file_in_the_folder_that_the_unit_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    await reboot()
    assert names(tmp_path) == {"reboot"}
    switch_off()
    assert names(tmp_path) == {"reboot", "poweroff"}
    assert "cannot" not in caplog.text


async def test_a_kit_that_no_unit_runs_leaves_the_machine_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    caplog.set_level("INFO")
    await reboot()
    switch_off()
    assert "cannot reboot: this kit is not run by systemd/parta-kit.service" in caplog.text
    assert "the machine stays on" in caplog.text


async def test_a_folder_that_is_gone_is_told_and_the_kit_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / "gone"))
    await reboot()
    assert "reboot: [Errno 2]" in caplog.text
