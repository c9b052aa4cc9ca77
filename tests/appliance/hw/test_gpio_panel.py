"""The real panel on gpiozero's mock pins: bounces, rhythms, darkness at the end, and lines that fail.

What every panel keeps is in tests/conformance/test_panel.py; what only a Pi can show, in docs/wiring.md.
"""

from __future__ import annotations

import asyncio
import logging
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import cli
from appliance.errors import PanelUnavailable
from appliance.hw.base import Cue, Edge, Face, NoBuzzer
from appliance.hw.gpio.buzzer import CUES
from appliance.hw.gpio.panel import GpioPanel
from appliance.settings import PanelSection, PinsSection
from tests.appliance.hw.mock_pins import MockPins, mock_pins

WITHIN_S = 5
START, CURTAIN, RED, GREEN, BLUE, LIGHT, BUZZER = 17, 27, 5, 6, 13, 24, 23
LIVE = Face(state="live", tally="on_air")
FULL = PanelSection(kind="gpio", pins=PinsSection(start_light=LIGHT, buzzer=BUZZER))


@pytest.fixture
def pins() -> Iterator[MockPins]:
    with mock_pins() as made:
        yield made


async def next_edge(edges: asyncio.Queue[Edge]) -> tuple[str, bool]:
    async with asyncio.timeout(WITHIN_S):
        edge = await edges.get()
    return edge.button, edge.pressed


async def test_a_bouncing_button_is_pressed_once(pins: MockPins) -> None:
    edges: asyncio.Queue[Edge] = asyncio.Queue()
    async with GpioPanel(FULL).open(edges.put_nowait):
        for _ in range(5):
            pins.press(START)
            pins.release(START)
        pins.press(START)
        pins.press(CURTAIN)  # comes later, so whatever the bounces made is there before it
        assert [await next_edge(edges), await next_edge(edges)] == [("start", True), ("curtain", True)]
        assert edges.empty()


async def test_a_spark_presses_nothing(pins: MockPins) -> None:
    edges: asyncio.Queue[Edge] = asyncio.Queue()
    async with GpioPanel(FULL).open(edges.put_nowait):
        pins.press(START)
        pins.release(START)
        pins.press(CURTAIN)
        assert await next_edge(edges) == ("curtain", True)
        assert edges.empty()


async def test_a_button_that_is_stuck_as_the_kit_starts_starts_no_lesson(pins: MockPins) -> None:
    edges: asyncio.Queue[Edge] = asyncio.Queue()
    pins.pin(START).held_down = True
    async with GpioPanel(FULL).open(edges.put_nowait):
        pins.press(CURTAIN)
        assert await next_edge(edges) == ("curtain", True)
        pins.release(START)
        assert await next_edge(edges) == ("start", False)
        pins.press(START)
        assert await next_edge(edges) == ("start", True)


async def test_a_press_is_seen_then_shown_and_how_soon(pins: MockPins, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[str, float]] = []
    pins.watch(lambda name, level: told.append((f"{name} {level:g}", time.monotonic())))
    waits_ms, cpu_s = [], time.process_time()

    def on_edge(edge: Edge) -> None:
        told.append((f"edge {edge.pressed}", time.monotonic()))
        panel.show(Face(state="starting", tally="connecting") if edge.pressed else Face())

    async with GpioPanel(PanelSection()).open(on_edge) as panel:
        for _ in range(20):
            told.clear()
            await asyncio.to_thread(pins.press, START)
            await pins.until(lambda: pins.level(RED) == 1)
            assert [what for what, _ in told][:3] == [f"GPIO{START} 0", "edge True", f"GPIO{RED} 1"]
            waits_ms.append((told[2][1] - told[0][1]) * 1000)
            await asyncio.to_thread(pins.release, START)
            await pins.until(lambda: pins.level(RED) == 0)
    cpu_ms = (time.process_time() - cpu_s) * 1000 / 20
    with capsys.disabled():
        print(
            f"\nedge to lamp: median {statistics.median(waits_ms):.1f} ms, worst {max(waits_ms):.1f} ms; "
            f"{cpu_ms:.1f} ms of CPU for a press and a release"
        )


async def test_the_lamp_blinks_by_itself_and_in_step_whatever_else_changes(pins: MockPins) -> None:
    async with GpioPanel(PanelSection()).open(lambda _: None) as panel:
        pins.forget(RED)
        panel.show(Face(state="fault", tally="fault"))
        await pins.until(lambda: pins.history(RED) == [0, 1, 0])
        panel.show(Face(state="fault", tally="fault", hold=0.1, hold_for="end"))
        assert pins.level(RED) == 0, "the pattern began anew"
        panel.show(Face(state="fault", tally="fault"))
        await pins.until(lambda: pins.history(RED) == [0, 1, 0, 1, 0])
        panel.show(LIVE)
        assert pins.levels(RED, GREEN, BLUE) == (1, 0, 0)


@pytest.mark.parametrize("pwm", [True, False])
async def test_every_lamp_is_dark_when_the_panel_closes(pins: MockPins, pwm: bool) -> None:
    settings = PanelSection(kind="gpio", pwm=pwm, pins=FULL.pins)
    async with GpioPanel(settings).open(lambda _: None) as panel:
        panel.show(Face(tally="curtain"))
        panel.buzzer.sound("fault")
        assert pins.levels(RED, GREEN, BLUE, LIGHT, BUZZER) == (1, 1, 1, 1, 1)
    for pin in (RED, GREEN, BLUE, LIGHT, BUZZER):
        assert pins.level(pin) == 0
        assert pins.history(pin)[-1] == 0


async def test_every_lamp_is_dark_when_the_kit_fails_around_it(pins: MockPins) -> None:
    async def fail() -> None:
        async with GpioPanel(FULL).open(lambda _: None) as panel:
            panel.show(LIVE)
            assert pins.level(RED) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert pins.history(RED)[-1] == 0


async def test_a_common_anode_led_is_lit_by_low(pins: MockPins) -> None:
    async with GpioPanel(PanelSection(lamp_lit_by="low")).open(lambda _: None) as panel:
        assert pins.levels(RED, GREEN, BLUE) == (1, 1, 1)
        panel.show(LIVE)
        assert pins.levels(RED, GREEN, BLUE) == (0, 1, 1)
        panel.show(Face())
        assert pins.levels(RED, GREEN, BLUE) == (1, 1, 1)


@pytest.mark.parametrize("cue", CUES)
async def test_the_buzzer_sounds_each_cue_and_is_silent_after(pins: MockPins, cue: Cue) -> None:
    async with GpioPanel(FULL).open(lambda _: None) as panel:
        pins.forget(BUZZER)
        panel.buzzer.sound(cue)
        beeps = (len(CUES[cue]) + 1) // 2
        await pins.until(lambda: pins.history(BUZZER) == [0, *[1, 0] * beeps])


async def test_a_new_cue_takes_the_place_of_the_one_that_sounds(pins: MockPins) -> None:
    async with GpioPanel(FULL).open(lambda _: None) as panel:
        pins.forget(BUZZER)
        panel.buzzer.sound("fault")
        panel.buzzer.sound("begun")
        await pins.until(lambda: pins.history(BUZZER) == [0, 1, 0, 1, 0])


async def test_parts_that_a_kit_has_not_got_take_no_pins(pins: MockPins) -> None:
    bare = PanelSection(kind="gpio", lamp="none", pins=PinsSection(curtain=0, still=0))
    edges: asyncio.Queue[Edge] = asyncio.Queue()
    async with GpioPanel(bare).open(edges.put_nowait) as panel:
        assert isinstance(panel.buzzer, NoBuzzer)
        panel.show(LIVE)
        for free in (CURTAIN, RED, GREEN, BLUE, LIGHT, BUZZER):
            pins.occupy(free).close()
        with pytest.raises(Exception, match="in use"):
            pins.occupy(START)
        pins.press(START)
        assert await next_edge(edges) == ("start", True)


async def test_a_pin_that_is_taken_gives_back_those_that_were_not(pins: MockPins) -> None:
    with pins.occupy(CURTAIN), pytest.raises(PanelUnavailable, match="GPIO27"):
        async with GpioPanel(FULL).open(lambda _: None):
            pytest.fail("it opened")
    for free in (START, RED, GREEN, BLUE, LIGHT, BUZZER):
        pins.occupy(free).close()


async def test_a_line_that_fails_stops_no_lesson_and_is_told_once(
    pins: MockPins, caplog: pytest.LogCaptureFixture
) -> None:
    async with GpioPanel(FULL).open(lambda _: None) as panel:
        pins.pin(RED).broken = True
        for _ in range(3):
            panel.show(LIVE)
        panel.show(Face(tally="curtain"))
        assert pins.levels(GREEN, BLUE) == (1, 1)
        pins.pin(RED).broken = False
        panel.show(LIVE)
        assert pins.level(RED) == 1
    told = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage() for record in told] == ["panel: tally 1 does not take a level: the line is gone"]


def _config(folder: Path, kind: str = "gpio") -> Path:
    path = folder / "kit.toml"
    path.write_text(f'[kit]\nstate_dir = "{folder}"\n[panel]\nkind = "{kind}"\n')
    return path


def test_lamps_that_a_dead_kit_left_lit_are_put_out(pins: MockPins, tmp_path: Path) -> None:
    for pin in (RED, GREEN, BLUE):
        pins.pin(pin).function = "output"
        pins.pin(pin).state = 1  # nobody's: as Raspberry Pi's kernels leave the pins of a killed program
    assert cli.main(["lamps-off", "--config", str(_config(tmp_path))]) == cli.OK
    assert [pins.history(pin)[-1] for pin in (RED, GREEN, BLUE)] == [0, 0, 0]


def test_lamps_off_leaves_a_kit_that_runs_alone(
    pins: MockPins, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pins.occupy(RED) as lit:
        lit.on()
        assert cli.main(["lamps-off", "--config", str(_config(tmp_path))]) == cli.CANNOT_START
        assert pins.level(RED) == 1
    assert "panel.pins: a pin cannot be had" in capsys.readouterr().err


def test_a_panel_without_pins_has_nothing_to_put_out(tmp_path: Path) -> None:
    assert cli.main(["lamps-off", "--config", str(_config(tmp_path, "simulated"))]) == cli.OK


@pytest.mark.skipif(Path("/dev/gpiochip0").exists(), reason="this machine has pins, which the test must not touch")
def test_a_machine_without_pins_says_what_to_do_in_one_line(tmp_path: Path) -> None:
    """With lgpio (no device) and without it (no library): the real thing, in a process of its own."""
    command = [sys.executable, "-m", "appliance", "run", "--config", str(_config(tmp_path))]
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | paths, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == cli.CANNOT_START, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("parta-kit: "))
    assert 'panel.kind = "gpio"' in line
    assert done.stderr.splitlines()[-1] == line
    assert "Traceback" not in done.stderr
