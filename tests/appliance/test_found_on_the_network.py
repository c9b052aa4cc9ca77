"""Kits and relays find each other by multicast DNS: the real programs, each on a host of its own, on one network."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.network_hosts import Host, hosts, missing
from tests.running import FoundedSchool

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"hosts on a network: {missing()}")

WITHIN_S = 30.0
LAPTOP, SERVER, ROOM_12, ROOM_13 = "10.9.0.2", "10.9.0.3", "10.9.0.12", "10.9.0.13"
ELSEWHERE = "10.9.0.77"
RELAY_URL = f"http://{SERVER}:8080"


@dataclass
class Watch:
    """What a host sees of its network, as it changes."""

    process: asyncio.subprocess.Process

    async def until(self, holds: Callable[[Any], bool]) -> Any:
        """Follow the changes until ``holds``; what is seen then."""
        assert self.process.stdout is not None
        last: Any = None
        try:
            async with asyncio.timeout(WITHIN_S):
                async for line in self.process.stdout:
                    last = json.loads(line)
                    if holds(last):
                        return last
        except TimeoutError:
            raise AssertionError(f"it was never seen; last: {last}") from None
        raise AssertionError(f"the watch ended; last: {last}")


@pytest.fixture
def network() -> Iterator[list[Host]]:
    with hosts([LAPTOP, SERVER, ROOM_12, ROOM_13]) as made:
        yield made


@asynccontextmanager
async def watching(host: Host, folder: Path) -> AsyncIterator[Watch]:
    async with host.running("tests.appliance.watch_network", log=folder / "watch.log") as process:
        yield Watch(process)


@asynccontextmanager
async def kit_on(host: Host, folder: Path, *, code: str = "", setup: str = "") -> AsyncIterator[Any]:
    """``parta-kit run`` on a host."""
    config = folder / "kit.toml"
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    config.write_text(
        f'[kit]\nstate_dir = "{folder / "state"}"\n[relay]\nurl = "{RELAY_URL}"\nenrol_code = "{code}"\n'
        f'[camera]\nwidth = 320\nheight = 240\nfps = 5\n[panel]\nkind = "none"\n[setup]\n{setup}\n'
    )
    arguments = ("appliance", "run", "--config", str(config))
    async with host.running(*arguments, log=folder / "kit.log") as process:
        yield process


@asynccontextmanager
async def relay_on(host: Host, school: FoundedSchool, folder: Path) -> AsyncIterator[None]:
    """``parta-relay serve`` on a host, on a school's state."""
    config = folder / "relay.toml"
    config.write_text(
        f'[relay]\nstate_dir = "{school.state}"\n'
        f'[web]\nhost = "0.0.0.0"\npublic_url = "{RELAY_URL}"\nannounce = true\n'
        f'[media]\nadvertise = ["{SERVER}"]\n'
    )
    async with host.running("relay", "serve", "--config", str(config), log=folder / "relay.log"):
        yield


async def _said(log: Path, word: str) -> None:
    """Wait until a program has said it."""
    deadline_s = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline_s:
        if word in await asyncio.to_thread(log.read_text):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{log} never said {word}")


def rooms(seen: Any) -> list[str]:
    return [kit["room"] for kit in seen["kits"]]


async def test_discover_lists_an_enrolled_kit_a_new_one_and_the_relay_and_nothing_about_the_class(
    network: list[Host], tmp_path: Path
) -> None:
    laptop, server, host_12, host_13 = network
    school = FoundedSchool.found(tmp_path)
    async with (
        watching(laptop, tmp_path) as watch,
        relay_on(server, school, tmp_path),
        kit_on(host_12, tmp_path / "12", code=school.enrol_code),
        kit_on(host_13, tmp_path / "13", setup="enabled = false"),
    ):
        await watch.until(lambda seen: rooms(seen) == ["", "12"] and seen["relays"])
        told = await laptop.run("appliance", "discover", "--json")
        table = await laptop.run("appliance", "discover")
    seen = json.loads(told)
    new, enrolled = seen["kits"]
    assert (new["state"], new["kit_id"], new["addresses"], new["port"]) == ("new", "", [ROOM_13], 0)
    assert (enrolled["state"], enrolled["room"], enrolled["addresses"]) == ("ready", "12", [ROOM_12])
    assert enrolled["port"] == 8091
    assert len(enrolled["kit_id"]) == 32
    assert [relay["url"] for relay in seen["relays"]] == [RELAY_URL]
    assert "7Б" not in told
    assert school.class_path not in told
    assert f"{ROOM_12}:8091" in table
    assert f"parta-kit enrol CODE --relay {RELAY_URL}" in table


async def test_a_kit_that_is_told_to_stop_withdraws_at_once(network: list[Host], tmp_path: Path) -> None:
    laptop, _, host_12, _ = network
    async with watching(laptop, tmp_path) as watch, kit_on(host_12, tmp_path / "12") as kit:
        await watch.until(lambda seen: bool(seen["kits"]))
        kit.send_signal(signal.SIGTERM)
        await watch.until(lambda seen: not seen["kits"])  # its records alone would be believed for 75 minutes
        assert await asyncio.wait_for(kit.wait(), WITHIN_S) == 0
    assert "Traceback" not in (tmp_path / "12" / "kit.log").read_text()


async def test_a_kit_is_found_at_its_new_address_after_its_old_one_was_taken_away(
    network: list[Host], tmp_path: Path
) -> None:
    laptop, _, host_12, _ = network
    async with watching(laptop, tmp_path) as watch, kit_on(host_12, tmp_path / "12"):
        await watch.until(lambda seen: [kit["addresses"] for kit in seen["kits"]] == [[ROOM_12]])
        host_12.address("del", ROOM_12)
        host_12.address("add", ELSEWHERE)
        await watch.until(lambda seen: [kit["addresses"] for kit in seen["kits"]] == [[ELSEWHERE]])
    assert "Traceback" not in (tmp_path / "12" / "kit.log").read_text()


async def test_a_kit_that_starts_without_a_network_is_found_when_there_is_one(
    network: list[Host], tmp_path: Path
) -> None:
    laptop, _, host_12, _ = network
    host_12.address("del", ROOM_12)
    async with watching(laptop, tmp_path) as watch, kit_on(host_12, tmp_path / "12"):
        await _said(tmp_path / "12" / "kit.log", "ready")
        host_12.address("add", ROOM_12)
        seen = await watch.until(lambda seen: bool(seen["kits"]))
    assert seen["kits"][0]["addresses"] == [ROOM_12]


async def test_discover_without_a_network_says_so_in_one_line(network: list[Host]) -> None:
    laptop = network[0]
    laptop.address("del", LAPTOP)
    process = await asyncio.create_subprocess_exec(
        *laptop.command("appliance", "discover"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    told, errors = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert process.returncode == 2
    assert told == b""
    assert errors.decode().splitlines()[-1].startswith("parta-kit: cannot look around: this machine has no network")
