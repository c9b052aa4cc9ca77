"""The emulated kit from outside: boots it, runs commands in it as root, presses its lines and reads its lamps.

Not here: what the machine is made of (``scripts/emulation_vm.sh``, ``machine/``; for the image, ``scripts/image.sh``).
Used by ``test_whole_kit.py`` and ``tests/image``.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "emulation_vm.sh"
AGENT = "agent"  # in the machine's folder; each start makes it anew
PINS = "/run/pins"  # the simulated chip's folder in sysfs; machine/pins.sh makes the link
START_PIN = 17
LAMP_PINS = {"red": 5, "amber": 6, "white": 13}  # panel.lamp = "leds" on the default pins
OF_THE_KIT = "/sys/fs/cgroup/system.slice/parta-kit.service/cgroup.procs"  # its processes, camera workers included
PICTURE_MEMORY = "/dmabuf:"  # what an open libcamera holds there: pictures' buffers, from /dev/udmabuf

BOOT_S = 400.0  # 50 s here by itself; ten software CPUs' worth of neighbours is what it may have
ANSWER_S = 60.0  # a process started in the machine, and Python's share of it, under load
PATIENCE_S = 150.0  # a kit that starts again: Python and its libraries take 20 s to load there
END_S = 10.0  # QEMU at SIGTERM
LOOK_EVERY_S = 0.1
LOOK_SELDOM_S = 3.0  # where a wait is long: each look starts programs, on the processors that are waited for

STORY = "systemctl --no-pager status parta-kit; journalctl --no-pager -n 300 -o short-monotonic | grep -v 'ALSA lib'"


@dataclass
class Machine:
    """A machine that is up. ``folder`` has its console; ``process`` is whoever runs it."""

    folder: Path
    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def run(self, command: str, within_s: float = ANSWER_S) -> str:
        """Run a shell command in it as root; what it printed. A failure is the test's, with the kit's story."""
        code, said = await self._ask(command, within_s)
        if code != 0:
            how = f"took over {within_s:g} s" if code is None else f"ended with {code}"
            _, story = await self._ask(STORY, ANSWER_S)
            raise AssertionError(f"{command}: {how}\n{said}\n{story}\nthe console:\n{self._console()}")
        return said

    async def _ask(self, command: str, within_s: float) -> tuple[int | None, str]:
        self.writer.write(json.dumps({"run": command, "within_s": within_s}).encode() + b"\n")
        try:
            async with asyncio.timeout(within_s + ANSWER_S):
                answer = json.loads(await self.reader.readline())
        except TimeoutError:
            raise AssertionError(f"{command}: the machine does not answer\n{self._console()}") from None
        return answer["code"], str(answer["said"])

    def _console(self) -> str:
        return _end_of(self.folder / "console.log")

    async def until(self, condition: str, within_s: float = PATIENCE_S) -> None:
        """Wait in the machine until a shell condition holds."""
        await self.run(f"until {condition}; do sleep {LOOK_SELDOM_S}; done", within_s)

    async def until_up(self, within_s: float = PATIENCE_S) -> None:
        """Wait until the kit has said READY."""
        await self.until("systemctl is-active --quiet parta-kit", within_s)

    async def until_ready(self, within_s: float = PATIENCE_S) -> None:
        """Wait until the kit says that it is ready, and nothing else: it reaches its relay."""
        await self.until('[ "$(systemctl show -P StatusText parta-kit)" = ready ]', within_s)

    async def until_status(self, words: str, within_s: float = PATIENCE_S) -> None:
        """Wait until the kit says these words to its service manager."""
        await self.until(f"systemctl show -P StatusText parta-kit | grep -qF {shlex.quote(words)}", within_s)

    async def until_status_is_not(self, words: str) -> None:
        """Wait until the kit says anything else."""
        await self.until(f"systemctl show -P StatusText parta-kit | grep -qvF {shlex.quote(words)}")

    async def until_lamps(self, *lit: str) -> None:
        """Wait until exactly these lamps are lit, read from the lines themselves."""
        wanted = "".join("1" if name in lit else "0" for name in LAMP_PINS)
        await self.until(f'[ "$({self._levels()})" = {wanted} ]')

    async def shows_nothing_but(self, length_s: float, *lit: str) -> None:
        """Look again and again for so long: whenever a lamp is lit, it is exactly these."""
        wanted, looks = "".join("1" if name in lit else "0" for name in LAMP_PINS), round(length_s / LOOK_EVERY_S)
        dark = "0" * len(LAMP_PINS)
        look = f'found=$({self._levels()}); case "$found" in {wanted}|{dark}) ;; *) echo "$found"; exit 1 ;; esac'
        await self.run(f"for look in $(seq {looks}); do {look}; sleep {LOOK_EVERY_S}; done")

    async def goes_on(self, for_s: float) -> None:
        """Let it run for so long; it may not end by itself meanwhile."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), for_s)
        assert self.process.returncode is None, f"it ended:\n{self._console()}"

    async def until_any_lamp(self) -> None:
        """Wait until one is lit."""
        await self.until(f'[ "$({self._levels()})" != {"0" * len(LAMP_PINS)} ]')

    @staticmethod
    def _levels() -> str:
        files = " ".join(f"{PINS}/sim_gpio{pin}/value" for pin in LAMP_PINS.values())
        return rf"cat {files} | tr -d '\n'"

    async def lamps(self) -> set[str]:
        """Which lamps are lit now."""
        return _lit(await self.run(self._levels()))

    async def lamps_between_two_lives(self) -> set[str]:
        """What is lit when the kit has ended and its service manager is about to start it again."""
        state = '"$(systemctl show -P SubState parta-kit)" = auto-restart'
        levels = await self.run(f"until [ {state} ]; do sleep {LOOK_EVERY_S}; done; {self._levels()}", PATIENCE_S)
        return _lit(levels)

    async def until_camera_loaded(self) -> str:
        """Wait until a worker of the kit has loaded libcamera, as it does between lessons; what it says of that."""
        look = "journalctl --no-pager -b -u parta-kit -o cat | grep -F 'libraries took'"
        await self.until(f"{look} >/dev/null")
        return await self.run(look)

    async def until_media_loaded(self) -> None:
        """Wait until the kit has loaded aiortc, as it does before the first press: its SRTP library comes last."""
        await self.until(f"grep -q pylibsrtp /proc/{await self.main_pid()}/maps")

    async def until_camera_opened(self) -> None:
        """Wait until a process of the kit holds memory for pictures."""
        await self.until(self._camera_is_open())

    async def until_camera_closed(self) -> None:
        """Wait until none does."""
        await self.until(f"! {{ {self._camera_is_open()}; }}")

    @staticmethod
    def _camera_is_open() -> str:
        return f"ls -l $(sed 's|.*|/proc/&/fd|' {OF_THE_KIT}) | grep -q {PICTURE_MEMORY}"

    async def press(self) -> float:
        """Pull the start line down, and let it go; the wall time (s) just before."""
        pressed_s = time.time()
        await self.down()
        await self.up()
        return pressed_s

    async def down(self) -> None:
        """Hold start/end, for longer than a contact bounces."""
        await self.run(f"echo pull-down >{PINS}/sim_gpio{START_PIN}/pull; sleep 0.2")

    async def up(self) -> None:
        """Let start/end go."""
        await self.run(f"echo pull-up >{PINS}/sim_gpio{START_PIN}/pull; sleep 0.2")

    async def restarted(self, within_s: float) -> None:
        """Wait until it goes down, and reach its agent again; of a machine whose firmware starts it anew."""
        before_ns = (self.folder / AGENT).stat().st_mtime_ns
        try:
            async with asyncio.timeout(within_s):
                while await self.reader.read(1 << 16):
                    pass
        except TimeoutError:
            raise AssertionError(f"the machine has not gone down within {within_s:g} s\n{self._console()}") from None
        self.writer.close()
        self.reader, self.writer = await _agent(self.folder, self.process, before_ns)

    async def plug_in(self, stick: str) -> None:
        """Put a USB stick into it: ``stick`` is a file beside its card (``scripts/image.sh boot``)."""
        reader, writer = await asyncio.open_unix_connection(self.folder / "qmp")
        try:
            async with asyncio.timeout(ANSWER_S):
                await reader.readline()  # its greeting
                for command, arguments in (
                    ("qmp_capabilities", {}),
                    ("device_add", {"driver": "usb-storage", "id": f"plugged-{stick}", "drive": stick}),
                ):
                    writer.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
                    answer = json.loads(await reader.readline())
                    assert "return" in answer, answer
        finally:
            writer.close()

    async def main_pid(self) -> int:
        """The kit's main process."""
        return int(await self.run("systemctl show -P MainPID parta-kit"))


@asynccontextmanager
async def running_machine(folder: Path, boot_file: str | None, script: Path = SCRIPT) -> AsyncIterator[Machine]:
    """Boot it with ``boot_file`` as ``parta.toml`` on its card, or with the card as it is; pull its plug at the end.
    ``script`` boots it."""
    words: list[str | Path] = ["boot", folder]
    if boot_file is not None:
        words.append(folder / "for-the-card.toml")
        (folder / "for-the-card.toml").write_text(boot_file, encoding="utf-8")
    with (folder / "qemu.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            script, *words, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        machine = Machine(folder, process, *await _agent(folder, process))
        try:
            yield machine
        finally:
            machine.writer.close()
    finally:
        await _end(process)


def _lit(levels: str) -> set[str]:
    return {name for name, level in zip(LAMP_PINS, levels, strict=True) if level == "1"}


def _end_of(log: Path, characters: int = 6000) -> str:
    return log.read_text(errors="replace")[-characters:] if log.exists() else "(nothing)"


async def _agent(
    folder: Path, process: asyncio.subprocess.Process, before_ns: int | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The way to the agent, once QEMU listens. What is written before the agent starts waits for it.

    ``before_ns``: when the last start's socket was made, which lets one in for a moment after it has let go of another.
    """
    agent = folder / AGENT
    async with asyncio.timeout(ANSWER_S):
        while True:
            assert process.returncode is None, f"QEMU ended at once:\n{_end_of(folder / 'qemu.log')}"
            try:
                if agent.stat().st_mtime_ns != before_ns:
                    return await asyncio.open_unix_connection(agent, limit=1 << 20)
            except (FileNotFoundError, ConnectionRefusedError):  # not yet; or the last start's, which nobody hears
                pass
            await asyncio.sleep(LOOK_EVERY_S)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Pull the plug: the disk is a snapshot."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), END_S)
    except TimeoutError:
        process.kill()
        await process.wait()
