"""The setup page of the real kit, at the real relay: enrolled by hand, and on the way to its relay at once."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest

from appliance.setup.pin import set_pin
from tests.running import FoundedSchool, RunningKit, free_port, running_relay

PIN = "27182818"


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> FoundedSchool:
    return FoundedSchool.found(tmp_path_factory.mktemp("school"))


async def test_a_kit_that_nobody_knew_is_enrolled_by_its_page_and_teaches_without_a_restart(
    tmp_path: Path, founded: FoundedSchool
) -> None:
    await asyncio.to_thread(set_pin, tmp_path / "kit" / "state", PIN)
    port = free_port()
    page = f"http://127.0.0.1:{port}"
    jar = aiohttp.CookieJar(unsafe=True)
    async with running_relay(tmp_path / "relay", founded) as relay, aiohttp.ClientSession(cookie_jar=jar) as browser:
        setup = f'host = "127.0.0.1"\nport = {port}'
        kit = RunningKit(tmp_path / "kit", relay.http, "http://127.0.0.1:9", "", setup=setup)
        await kit.start()
        try:
            await kit.until(lambda status: status["link"]["control"] == "not_enrolled")
            assert (await browser.post(f"{page}/api/session", json={"pin": PIN})).status == 204
            asked = {"url": relay.url, "code": "WRONG-CODE"}
            assert (await browser.put(f"{page}/api/relay", json=asked)).status == 422
            asked = {"url": relay.url, "code": founded.enrol_code}
            assert (await browser.put(f"{page}/api/relay", json=asked)).status == 204
            await kit.until(lambda status: status["link"]["control"] == "up")
            told = await (await browser.get(f"{page}/api/status")).json()
            assert (told["enrolment"]["room"], told["relay"]["url"]) == ("12", relay.url)
            await kit.press("start")
            await kit.until_state("live")
            log = await (await browser.get(f"{page}/api/log")).text()
        finally:
            await kit.program.end(signal.SIGTERM)
    assert "enrolled at" in log
    assert founded.enrol_code not in log
    assert founded.class_path not in log
