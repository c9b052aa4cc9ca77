"""A card that is full while a lesson runs: the real kit says so, and records again by itself when there is room."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import aiohttp

from tests.running import RunningKit, free_port
from tests.small_disk import small_disk

MIB = 1024 * 1024


async def test_a_lesson_without_relay_and_card_is_a_fault_until_the_card_has_room_again(tmp_path: Path) -> None:
    with small_disk(tmp_path, 24 * 1024) as disk:
        async with aiohttp.ClientSession() as http:
            kit = RunningKit(disk / "kit", http, f"http://127.0.0.1:{free_port()}", "", 'kind = "simulated"\nfps = 10')
            await kit.start()
            try:
                ballast = disk / "somebody else's"
                ballast.write_bytes(bytes(22 * MIB))
                with ballast.open("ab", buffering=0) as file:  # to the last byte
                    for size in (MIB, 65_536, 4096):
                        while _fits(file.fileno(), size):
                            pass
                await kit.press("start")
                lost = await kit.until(lambda status: status["recording"] == "lost" and status["tally"] == "fault")
                assert lost["fault"]["key"] == "recording_lost"
                assert "the card is full" in lost["fault"]["reason"]

                ballast.unlink()
                back = await kit.until(lambda status: status["recording"] == "on")
                assert (back["tally"], back["fault"]) == ("not_live", None)
                await kit.hold_to_end()
            finally:
                assert await kit.program.end(signal.SIGTERM) == 0
            (lesson,) = (disk / "kit" / "state" / "recordings").iterdir()
            assert (lesson / "0.m4s").stat().st_size > 10_000


def _fits(descriptor: int, size: int) -> bool:
    try:
        return os.write(descriptor, bytes(size)) == size
    except OSError:
        return False
