"""Kit and relay under a service manager: what they tell it, and how a program that hangs is noticed and healed.

The programs, systemd-python and the sockets are real; the test plays the service manager (``pid_one.py``).
"""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.running import FoundedSchool, Program, RunningKit, free_port, running_relay
from tests.systemd.pid_one import PidOne, can_play, pid_one

ODD_KITS = "tests.systemd.odd_kits"

HAS_SYSTEMD = (
    importlib.util.find_spec("systemd") is not None and importlib.util.find_spec("systemd.journal") is not None
)

pytestmark = [
    pytest.mark.skipif(not HAS_SYSTEMD, reason="needs systemd-python; scripts/set_up.sh service builds it"),
    pytest.mark.skipif(not can_play(), reason="needs a mount namespace; run as root, or allow user namespaces"),
]


@dataclass
class Watched:
    """A kit and the service manager that watches it."""

    kit: RunningKit
    manager: PidOne


@asynccontextmanager
async def watched_kit(folder: Path, relay_url: str, code: str, *, odd: str = "") -> AsyncIterator[Watched]:
    """A kit that its service manager has started; ``odd``: one of ``odd_kits.py``."""
    async with aiohttp.ClientSession() as http:
        kit = RunningKit(folder, http, relay_url, code, camera="width = 320\nheight = 240\nfps = 10")
        if odd:
            kit.program.arguments = [ODD_KITS, odd, *kit.program.arguments[1:]]
        async with pid_one(kit.program) as manager:
            await kit.program.start()
            try:
                await manager.hear("READY=1")
                yield Watched(kit, manager)
            finally:
                await kit.program.end(signal.SIGTERM)


def workers_of(program: Program) -> set[int]:
    """The processes in which a kit's camera runs."""
    children = psutil.Process(program.pid).children()
    return {child.pid for child in children if "appliance.capture.worker_process" in " ".join(child.cmdline())}


async def test_kit_and_relay_tell_when_they_answer_what_they_do_and_that_they_live(
    tmp_path: Path, founded_school: FoundedSchool
) -> None:
    async with AsyncExitStack() as stack:
        relay_manager: PidOne | None = None

        async def watch(program: Program) -> None:
            nonlocal relay_manager
            relay_manager = await stack.enter_async_context(pid_one(program))

        relay = await stack.enter_async_context(running_relay(tmp_path / "relay", founded_school, before=watch))
        assert relay_manager is not None
        watched = await stack.enter_async_context(watched_kit(tmp_path / "kit", relay.url, founded_school.enrol_code))
        kit, manager = watched.kit, watched.manager
        assert (await kit.status())["state"] == "idle", "READY means that the panel answers"
        await manager.hear("STATUS=ready")
        await kit.press("start")
        lesson = (await kit.until_state("live"))["lesson"]["id"]
        on_air = await manager.hear("STATUS=on air, 0 viewers")
        await relay_manager.hear("STATUS=1 lesson live, 0 viewers")
        for told in (manager, relay_manager):
            fed = told.said.count("WATCHDOG=1")
            await told.until(lambda told=told, fed=fed: told.said.count("WATCHDOG=1") > fed + 2)  # type: ignore[misc]
            assert told.said.count("READY=1") == 1
        await manager.until(lambda: any(entry.get("PARTA_STATE") == "live" for entry in manager.journal))
        entry = next(entry for entry in manager.journal if entry["MESSAGE"] == "starting -> live")
        assert entry == {
            **entry,
            "PARTA_LESSON": lesson,
            "SYSLOG_IDENTIFIER": "parta-kit",
            "LOGGER": "appliance.director",
            "PRIORITY": "6",
            "CODE_FUNC": "_entered",
        }
        begins = next(entry for entry in relay_manager.journal if " begins in room " in entry["MESSAGE"])
        assert (begins["PARTA_LESSON"], begins["SYSLOG_IDENTIFIER"]) == (lesson, "parta-relay")
        assert "starting -> live" not in kit.program.log.read_text(), "what is in the journal is not on stderr, too"
        assert await kit.program.end(signal.SIGTERM) == 0
        await manager.hear("STOPPING=1", after=on_air)
        assert await relay.program.end(signal.SIGTERM) == 0
        await relay_manager.hear("STOPPING=1")


async def test_a_hung_event_loop_is_noticed_killed_with_its_stack_in_the_log_and_the_lesson_goes_on(
    tmp_path: Path,
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    async with watched_kit(tmp_path, nowhere, "", odd="hangs-on-a-still") as watched:
        kit, manager = watched.kit, watched.manager
        await kit.press("start")
        before = await kit.until(
            lambda status: status["lesson"] is not None and (tmp_path / "state/lesson.json").exists()
        )
        async with kit.http.post(f"{kit.url}/panel/buttons/still/press") as answer:
            assert answer.status == 204
        await manager.watchdog_runs_out()
        assert await manager.abort() == -signal.SIGABRT
        assert "in hang" in kit.program.log.read_text(), "the stack names what hung"
        said = len(manager.said)
        await kit.program.start()
        await manager.hear("READY=1", after=said)
        after = await kit.until(lambda status: status["lesson"] is not None)
        assert after["lesson"]["id"] == before["lesson"]["id"]


@pytest.mark.parametrize("sign", [signal.SIGSTOP, signal.SIGKILL], ids=lambda sign: sign.name)
async def test_a_camera_that_hangs_or_crashes_is_replaced_and_nobody_restarts_the_kit(
    tmp_path: Path, founded_school: FoundedSchool, sign: signal.Signals
) -> None:
    async with (
        running_relay(tmp_path / "relay", founded_school) as relay,
        watched_kit(tmp_path / "kit", relay.url, founded_school.enrol_code, odd="films-in-a-worker") as watched,
    ):
        kit, manager = watched.kit, watched.manager
        await kit.press("start")
        lesson = (await kit.until_state("live"))["lesson"]["id"]
        (first,) = workers_of(kit.program)
        os.kill(first, sign)
        await manager.until(
            lambda: any("camera" in entry["MESSAGE"] for entry in manager.journal if entry["PRIORITY"] < "6")
        )
        healed = await kit.until(lambda status: status["state"] == "live" and bool(workers_of(kit.program) - {first}))
        assert healed["lesson"]["id"] == lesson
        assert not psutil.pid_exists(first)
        assert not any(said.startswith("STATUS=stuck") for said in manager.said)
