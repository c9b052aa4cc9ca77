"""The kit as a whole machine: an edge on a real line, ALSA, systemd, our units and our sandboxes.

``make test-emulated`` makes the machine and runs this; anywhere else it is skipped by name. One machine for the whole
tale, because each boot takes a minute: what a step needs, the step before it has left. The relay and the pupil's
Chromium run outside, on processors that are not emulated. Not here: what pupils see while all sorts of things go wrong
(``tests/browser``).
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.browser.chromium import PHONE, chromium, pupil, until_state, until_true, until_voice
from tests.emulation.running_machine import BOOT_S, PATIENCE_S, Machine, running_machine
from tests.running import FoundedSchool, RunningRelay, running_relay

pytestmark = [
    pytest.mark.skipif("PARTA_MACHINE" not in os.environ, reason="boots a virtual machine: make test-emulated"),
]

HOST = "10.0.2.2"  # the machine's name for this one
LIVE_S = 300.0  # a fifth of it here by itself
PICTURES = 10
SOME_VOICE = 0.001  # of WebRTC's totalAudioEnergy: silence adds nothing
AFTER_THE_MACHINE = 10  # nice value
LAMP_BEAT_S = 3.0  # longer than any beat but that of a notice (appliance/hw/patterns.py)
OF_THE_RELAY = "/sys/fs/cgroup/system.slice/parta-relay.service/cgroup.procs"
MEDIA_WORKERS = (  # their process numbers, a line each
    f"grep -slF relay.engines.workers $(sed 's|.*|/proc/&/cmdline|' {OF_THE_RELAY}) | cut -d/ -f3"
)
EXPOSED_AT_MOST = 2.0  # the promise; systemd's own scale of 0 to 10

#: Fractions are computed in software there: AAC alone would take more than half of a processor (py-spy, within it), so
#: nothing is recorded; and few, small pictures.
BOOT_FILE = """
[kit]
room = "12"
class_name = "7Б"
[relay]
url = "http://{host}:{port}"
enrol_code = "{code}"
[camera]
kind = "picamera2"
width = 320
height = 180
fps = 3
bitrate_kbps = 200
[microphone]
kind = "alsa"
device = "Loopback"
clean = false
[recording]
enabled = false
[panel]
kind = "gpio"
lamp = "leds"
pwm = false
"""


@pytest.fixture
async def relay(tmp_path: Path, founded_school: FoundedSchool) -> AsyncIterator[RunningRelay]:
    """On loopback, which is the machine's gateway too; both names of it are told to whoever connects."""
    async with running_relay(tmp_path / "relay", founded_school, advertise=("127.0.0.1", HOST)) as running:
        yield running


def told(what: str, seconds: float) -> None:
    """A figure for the log; nothing hangs on it."""
    print(f"\n  {what}: {seconds:.1f} s", flush=True)


@pytest.fixture
async def machine(tmp_path: Path, relay: RunningRelay, founded_school: FoundedSchool) -> AsyncIterator[Machine]:
    """A machine that was set up by its card alone, and is ready."""
    folder = tmp_path / "machine"
    folder.mkdir()
    boot_file = BOOT_FILE.format(host=HOST, port=relay.port, code=founded_school.enrol_code)
    started_s = time.monotonic()
    async with running_machine(folder, boot_file) as running:
        await running.until_up(BOOT_S)
        told("QEMU's start to READY", time.monotonic() - started_s)
        await running.until_ready()
        yield running


async def test_a_kit_is_set_up_by_its_card_and_keeps_its_lesson_through_a_kill_and_a_hang(
    machine: Machine, relay: RunningRelay, founded_school: FoundedSchool
) -> None:
    await the_card_is_taken_over(machine, founded_school.enrol_code)
    await the_sandbox_is_tight(machine, "parta-kit")
    assert await machine.lamps() == set()

    print(f"\n  {(await machine.until_camera_loaded()).strip()}", flush=True)
    await machine.until_media_loaded()
    await machine.until_camera_closed()

    await a_press_is_seen_and_heard_by_a_pupil(machine, f"{relay.url}{founded_school.class_path}")
    await machine.until_camera_opened()
    assert "Status: " in await machine.run("systemctl status --no-pager parta-kit")
    await machine.until("journalctl --no-pager -b -u parta-kit | grep -qF 'microphone: Loopback'")
    [lesson] = await relay.command("lesson", "list")

    await the_kit_is_started_anew_in_the_dark(machine, signal.SIGKILL, "status=9/KILL")
    await the_kit_is_started_anew_in_the_dark(machine, signal.SIGSTOP, "Watchdog timeout")
    assert [each["lesson_id"] for each in await relay.command("lesson", "list")] == [lesson["lesson_id"]]

    await machine.down()
    await machine.until_status("ready")
    await machine.up()
    assert await machine.lamps() == set()
    await machine.until_camera_closed()
    assert await machine.run("systemctl --failed --plain --no-legend --no-pager") == ""

    await machine.run("systemctl stop parta-kit", PATIENCE_S)
    await a_relay_with_two_workers_lives_in_its_own_sandbox(machine)


async def a_relay_with_two_workers_lives_in_its_own_sandbox(machine: Machine) -> None:
    """``parta-relay.service`` as it is: READY, answers, and starts a worker anew that was killed."""
    await machine.run("sed -i 's/^workers = 1$/workers = 2/' /etc/parta/relay.toml")
    await machine.run("systemctl start parta-relay", BOOT_S)
    await the_sandbox_is_tight(machine, "parta-relay")
    assert await machine.run("systemctl show -P StatusText parta-relay") == "0 lessons live, 0 viewers\n"
    ask = "import urllib.request as web; print(web.urlopen('http://127.0.0.1:8080/readyz').status)"
    assert await machine.run(f'python3 -c "{ask}"') == "200\n"
    before = (await machine.run(MEDIA_WORKERS)).split()
    assert len(before) == 2
    await machine.run(f"kill -KILL {before[0]}")
    await machine.until(f"[ $({MEDIA_WORKERS} | grep -cvx {before[0]}) = 2 ]")
    await machine.run("systemctl stop parta-relay", PATIENCE_S)
    assert await machine.run("systemctl show -P Result parta-relay") == "success\n"
    await machine.run(f"[ ! -e {OF_THE_RELAY} ]")  # nobody is left in its control group


async def a_press_is_seen_and_heard_by_a_pupil(machine: Machine, class_url: str) -> None:
    """From the line to Chromium: it decodes the virtual camera's pictures and plays the sound card's noise; red.

    Chromium starts once the kit is on air, and comes after the machine on the processors: it only has to look.
    """
    pressed_s = time.monotonic()
    await machine.press()
    await machine.until_status_is_not("ready")
    await machine.until_any_lamp()
    await machine.until_status("on air", LIVE_S)
    told("the press to on air", time.monotonic() - pressed_s)
    os.setpriority(os.PRIO_PROCESS, 0, AFTER_THE_MACHINE)
    async with chromium() as browser:
        page = await pupil(browser, class_url, viewport=PHONE)
        await until_state(page, "live", PATIENCE_S)
        await until_true(page, f"() => lessonProbe.frames.length >= {PICTURES}", timeout_s=PATIENCE_S)
        await page.get_by_role("button", name="Включить звук").first.click()
        await until_voice(page, SOME_VOICE)
        await machine.until_lamps("red")
        await machine.shows_nothing_but(LAMP_BEAT_S, "red")  # with gaps, as nothing is recorded


async def the_kit_is_started_anew_in_the_dark(machine: Machine, sign: signal.Signals, reason: str) -> None:
    """Its main process is hit: the lamps are out before it is started again, and it goes on with its lesson."""
    before = await machine.main_pid()
    hit_s = time.monotonic()
    await machine.run(f"kill -{sign.name.removeprefix('SIG')} {before}")
    assert await machine.lamps_between_two_lives() == set()
    told(f"{sign.name} to dark lamps", time.monotonic() - hit_s)
    await machine.until_up()
    assert await machine.main_pid() != before
    assert reason in await machine.run("journalctl --no-pager -b -u parta-kit")
    await machine.until_status_is_not("ready")
    await machine.until_any_lamp()
    told(f"{sign.name} to lit again", time.monotonic() - hit_s)


async def the_card_is_taken_over(machine: Machine, code: str) -> None:
    """Applied without complaint, and the code is no longer on the card."""
    card = await machine.run("ls /boot/firmware && cat /boot/firmware/parta.toml")
    assert code not in card
    assert "parta-error.txt" not in card
    assert HOST in card


async def the_sandbox_is_tight(machine: Machine, unit: str) -> None:
    """As systemd itself sees it, with every drop-in."""
    said = await machine.run(f"systemd-analyze security --no-pager {unit}.service")
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert exposure is not None, said
    assert float(exposure.group(1)) <= EXPOSED_AT_MOST
