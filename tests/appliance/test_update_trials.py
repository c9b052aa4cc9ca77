"""What becomes of a version that was tried: which is tried again by itself, and how that is told.

The record is a real file, and each start goes over it as ``parta-kit update trial`` does; RAUC, slots and restarts are
only a booted image's (``tests/image/test_power_cuts_of_updates.py``). Not here: the rest of the command
(``test_update.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.commands import update as commands
from appliance.commands import update_trial as trials
from appliance.commands.update import as_text, why_not
from appliance.commands.update_stick import newest
from appliance.errors import UpdateUnavailable
from appliance.settings import KitSettings
from appliance.update import engine
from appliance.update.kit_state import KitState
from appliance.update.trial import (
    CUTS,
    RECORD,
    SILENT,
    TOO_OFTEN,
    Trial,
    after_restart,
    read_trial,
    write_trial,
)

STICK = Path("0.2.0.raucb")
AT_REST = KitState("active", "success", "ready")

GIVEN_UP = Trial(slot="B", version="0.2.0", outcome="given_up", why="it sees no camera")
CUT_OFF = Trial(slot="B", version="0.2.0", outcome="cut_off", why=SILENT, cuts=1)


@pytest.mark.parametrize(
    ("outcome", "why", "running", "then", "told"),
    [
        ("installed", "", "B", "started", "has to show that it is good"),
        ("installed", "", "A", "cut_off", "was cut off (1 of 3 times): it did not come up far enough to say why"),
        (
            "started",
            "",
            "A",
            "cut_off",
            "the power was gone meanwhile. The next night or stick that brings it tries it",
        ),
        ("started", "it sees no camera", "A", "given_up", "went back: it sees no camera."),
        ("good", "", "B", "good", "The last update, to 2, is good."),
        ("good", "", "A", "good", "The last update, to 2, is good."),
        ("cut_off", "", "A", "cut_off", "was cut off"),
        ("given_up", "it sees no camera", "A", "given_up", "it sees no camera"),
    ],
)
def test_a_restart_tells_what_became_of_a_trial(
    tmp_path: Path, outcome: Any, why: str, running: str, then: str, told: str
) -> None:
    write_trial(Trial(slot="B", version="2", outcome=outcome, why=why), tmp_path)
    kept = read_trial(tmp_path)
    assert kept is not None
    now = after_restart(kept, running)
    assert now.outcome == then
    assert told in as_text(now)


def test_a_spoilt_record_is_told_with_what_to_do(tmp_path: Path) -> None:
    assert read_trial(tmp_path) is None
    (tmp_path / RECORD).write_text('{"slot": "B"')
    with pytest.raises(UpdateUnavailable, match="remove it"):
        read_trial(tmp_path)


@pytest.mark.parametrize(
    ("announced", "last", "at_night", "asked_for"),
    [
        ("0.2.0", None, "", ""),
        (
            "0.1.0",
            None,
            "nothing newer than 0.1.0 is announced (0.1.0)",
            "nothing newer than 0.1.0 is announced (0.1.0)",
        ),
        ("0.2.0", GIVEN_UP, "0.2.0 was given up before; to try it once more: parta-kit update install", ""),
        ("0.2.1", GIVEN_UP, "", ""),
        ("0.2.0", CUT_OFF, "", ""),
        ("0.2.0", Trial(slot="B", version="0.2.0", outcome="good"), "", ""),
    ],
)
def test_a_night_tries_no_version_twice_that_failed_and_a_person_may(
    announced: str, last: Trial | None, at_night: str, asked_for: str
) -> None:
    assert why_not(announced, "0.1.0", last, asked_for=False) == at_night
    assert why_not(announced, "0.1.0", last, asked_for=True) == asked_for


@pytest.mark.parametrize(
    ("versions", "last", "chosen"),
    [
        ({}, None, None),
        ({"a": "0.1.0", "b": "0.0.9"}, None, None),
        ({"a": "0.2.0", "b": "0.10.0", "c": "0.9.0"}, None, "b"),
        ({"a": "0.2.0", "b": "0.3.0"}, Trial(slot="B", version="0.3.0", outcome="given_up"), "a"),
        ({"a": "0.2.0"}, GIVEN_UP, None),
        ({"a": "0.2.0"}, CUT_OFF, "a"),
        ({"a": "0.2.0"}, Trial(slot="B", version="0.2.0", outcome="installed"), "a"),
    ],
)
def test_a_stick_brings_the_newest_version_that_was_not_given_up(
    versions: dict[str, str], last: Trial | None, chosen: str | None
) -> None:
    """Else a kit with a stick in it would try a broken version at every start."""
    bundles = {Path(name): version for name, version in versions.items()}
    assert newest(bundles, "0.1.0", last) == (Path(chosen) if chosen else None)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Install version 0.2.0 into slot B, of a kit whose record is in ``tmp_path``, up to the restart."""
    for module in (commands, trials):
        monkeypatch.setattr(module, "read_trial", lambda: read_trial(tmp_path))
        monkeypatch.setattr(module, "write_trial", lambda trial: write_trial(trial, tmp_path))
    a, b = engine.Slot("A", "", None, True), engine.Slot("B", "0.2.0", True, False)
    monkeypatch.setattr(commands, "FOLDER", tmp_path)
    monkeypatch.setattr(commands, "read_kit_state", lambda: AT_REST)
    monkeypatch.setattr(engine, "read_slots", lambda: engine.Slots(a, b, "A"))
    monkeypatch.setattr(engine, "install", lambda bundle, told: None)
    monkeypatch.setattr(engine, "restart", lambda: None)
    (tmp_path / STICK).write_bytes(b"a bundle")

    def once() -> None:
        commands.install_file(KitSettings(), tmp_path / STICK)

    return once


def starts(slot: str, folder: Path) -> Trial:
    """What the record says when this slot has started."""
    trials._open_record(slot)
    found = read_trial(folder)
    assert found is not None
    return found


def taken_by_itself(last: Trial) -> bool:
    """By the next night and by the stick alike."""
    by_night = why_not("0.2.0", "0.1.0", last, asked_for=False) == ""
    assert (newest({STICK: "0.2.0"}, "0.1.0", last) is not None) is by_night
    return by_night


@pytest.mark.parametrize("slots", ["A", "BA"], ids=["before it has started", "on its trial"])
def test_a_version_whose_trial_lost_its_power_is_tried_again_and_not_for_ever(
    tmp_path: Path, install: Callable[[], None], slots: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for cuts in range(1, CUTS):
        install()
        for slot in slots:
            last = starts(slot, tmp_path)
        assert last == Trial(
            slot="B", version="0.2.0", camera=True, relay=True, outcome="cut_off", why=SILENT, cuts=cuts
        )
        assert f"was cut off ({cuts} of {CUTS} times)" in as_text(last)
        assert "the update to 0.2.0 was cut off: it did not" in capsys.readouterr().err
        assert taken_by_itself(last)
        assert starts("A", tmp_path) == last, "a start without it is no cut"
    install()
    for slot in slots:
        last = starts(slot, tmp_path)
    assert (last.outcome, last.why) == ("given_up", TOO_OFTEN)
    assert f"each of its {CUTS} trials was cut off" in as_text(last)
    assert "the update to 0.2.0 was given up: each of its" in capsys.readouterr().err
    assert not taken_by_itself(last)


def test_a_person_has_a_version_that_was_cut_off_too_often_tried_from_the_beginning(
    tmp_path: Path, install: Callable[[], None]
) -> None:
    write_trial(Trial(slot="B", version="0.2.0", outcome="given_up", why=TOO_OFTEN, cuts=CUTS), tmp_path)
    install()
    assert taken_by_itself(starts("A", tmp_path))


def test_cuts_of_one_version_are_not_another_one_s(tmp_path: Path, install: Callable[[], None]) -> None:
    write_trial(Trial(slot="B", version="0.1.9", outcome="cut_off", why=SILENT, cuts=CUTS - 1), tmp_path)
    install()
    assert starts("A", tmp_path).cuts == 1


def test_a_version_that_said_why_it_failed_is_not_tried_again_though_the_power_went_then(
    tmp_path: Path, install: Callable[[], None]
) -> None:
    install()
    write_trial(Trial(slot="B", version="0.2.0", outcome="started", why="it sees no camera"), tmp_path)
    last = starts("A", tmp_path)
    assert (last.outcome, last.why) == ("given_up", "it sees no camera")
    assert not taken_by_itself(last)


def test_an_update_that_lost_its_power_before_it_was_written_leaves_no_trial(
    tmp_path: Path, install: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Plug(BaseException):
        """Pulled out."""

    def cut(bundle: Path, told: Callable[[str], None]) -> None:
        raise Plug

    monkeypatch.setattr(engine, "install", cut)
    with pytest.raises(Plug):
        install()
    assert read_trial(tmp_path) is None
    assert why_not("0.2.0", "0.1.0", None, asked_for=False) == ""
