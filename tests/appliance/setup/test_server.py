"""The setup page's server: who comes in, what it opens and with which lamp, what it keeps, and how it lets go."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.overrides import read_overrides
from appliance.setup import gate
from appliance.setup import preview as preview_module
from appliance.setup.pin import set_pin
from tests.appliance.setup.school_kit import PIN, WITHIN_S, SchoolKit, school_kit

APIS = [
    ("GET", "/api/status"), ("GET", "/api/events"), ("PUT", "/api/preview"), ("GET", "/api/preview/picture"),
    ("PUT", "/api/crop"), ("PUT", "/api/relay"), ("POST", "/api/checks"), ("GET", "/api/log"),
]  # fmt: skip


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[SchoolKit]:
    async with school_kit(tmp_path) as kit:
        yield kit


@pytest.fixture
async def inside(kit: SchoolKit) -> SchoolKit:
    assert (await kit.enter())[0] == 204
    return kit


async def picture(kit: SchoolKit, after: int = 0) -> int:
    """Wait for a picture newer than ``after``; its number."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            async with kit.http.get(f"{kit.url}/api/preview/picture?after={after}") as answer:
                assert answer.status in (200, 204), await answer.text()
                if answer.status == 200:
                    assert (await answer.read())[:2] == b"\xff\xd8"
                    assert float(answer.headers["X-Parta-Sharpness"]) > 0
                    return int(answer.headers["X-Parta-Number"])


# ---- the door ----


@pytest.mark.parametrize(("method", "path"), APIS)
async def test_nothing_is_told_and_nothing_opens_without_the_pin(kit: SchoolKit, method: str, path: str) -> None:
    assert await kit.ask(method, path, {"open": True}) == (401, {"why": "out", "told": "", "wait_s": 0})
    assert not any(what.startswith("camera") for what in kit.happened)


async def test_the_page_itself_holds_nothing_and_runs_nothing_foreign(kit: SchoolKit) -> None:
    async with kit.http.get(kit.url) as answer:
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert "12" not in (await answer.text()).split("<main>")[1].split("<section")[0]


async def test_the_pin_opens_and_its_session_is_a_cookie_for_this_site_alone(kit: SchoolKit) -> None:
    async with kit.http.post(f"{kit.url}/api/session", json={"pin": "2718 2818"}) as answer:
        assert answer.status == 204
        cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert PIN not in cookie
    status, told = await kit.ask("GET", "/api/status")
    assert (status, told["state"], told["enrolment"]["room"]) == (200, "idle", "12")
    assert "secret" not in json.dumps(told)  # the class's link


@pytest.mark.parametrize("pin", ["27182819", "", "2718281", "271828180", "２７１８２８１８", "abcdefgh"])
async def test_a_wrong_pin_does_not_open(kit: SchoolKit, pin: str) -> None:
    status, told = await kit.enter(pin)
    assert (status, told["why"]) == (403, "wrong_pin")
    assert (await kit.ask("GET", "/api/status"))[0] == 401


async def test_guessing_is_slowed_down_even_for_the_right_pin(kit: SchoolKit) -> None:
    free = gate.PER_ADDRESS[0]
    assert [(await kit.enter("00000000"))[0] for _ in range(free + 1)] == [403] * (free + 1)
    status, told = await kit.enter()
    assert (status, told["why"], told["wait_s"]) == (429, "wait", 1)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.test"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_page_in_the_same_browser_is_refused(inside: SchoolKit, headers: dict[str, str]) -> None:
    assert (await inside.ask("PUT", "/api/preview", {"open": True}, **headers))[0] == 403
    assert "camera open" not in inside.happened[1:]


async def test_a_name_that_was_made_to_point_here_is_refused(inside: SchoolKit) -> None:
    assert (await inside.ask("GET", "/api/status", Host="evil.test"))[0] == 421


async def test_a_form_of_another_kind_than_json_is_refused(inside: SchoolKit) -> None:
    async with inside.http.put(f"{inside.url}/api/preview", data='{"open": true}') as answer:
        assert answer.status == 415


async def test_a_session_ends_when_nobody_does_anything(inside: SchoolKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "IDLE_S", 0.0)
    assert (await inside.ask("GET", "/api/status"))[0] == 401


async def test_an_open_page_is_told_when_its_session_is_over(inside: SchoolKit) -> None:
    async with inside.http.get(f"{inside.url}/api/events") as events, asyncio.timeout(WITHIN_S):
        assert (await events.content.readline()) == b"event: status\n"
        assert (await inside.ask("DELETE", "/api/session"))[0] == 204
        async for line in events.content:
            if line == b"event: out\n":
                return
    raise AssertionError("the stream ended without a word")


async def test_a_new_pin_puts_out_whoever_is_in_with_the_old_one(inside: SchoolKit) -> None:
    await asyncio.to_thread(set_pin, inside.state_dir, "31415926")
    assert (await inside.ask("GET", "/api/status"))[0] == 401
    assert (await inside.enter())[0] == 403
    assert (await inside.enter("31415926"))[0] == 204


# ---- the preview ----


async def test_the_lamp_is_lit_before_the_camera_opens_and_dark_only_when_it_is_closed(inside: SchoolKit) -> None:
    assert (await inside.open_preview())[0] == 204
    first = await picture(inside)
    assert await picture(inside, first) > first
    assert (await inside.open_preview(False))[0] == 204
    await inside.until_happened("lamp off")
    assert inside.happened == ["lamp preview", "camera open", "camera closed", "lamp off"]
    assert inside.relay.pictures == 0  # nothing leaves for the relay


async def test_the_preview_shows_all_of_the_sensor_whatever_the_crop(inside: SchoolKit) -> None:
    for _ in range(2):
        await inside.open_preview()
        await picture(inside)
        assert inside.crops[-1] == (0.0, 0.0, 1.0, 1.0)
        assert (await inside.ask("PUT", "/api/crop", {"crop": [0.5, 0.5, 0.5, 0.5]}))[0] == 204
        await inside.open_preview(False)
        await inside.until(lambda: inside.lamp == "off")


async def test_start_takes_the_camera_over_at_once(inside: SchoolKit) -> None:
    await inside.open_preview()
    await picture(inside)
    inside.tap("start")
    assert inside.happened[-1] == "lamp connecting"
    await inside.until_happened("camera open", times=2)
    assert inside.happened == ["lamp preview", "camera open", "lamp connecting", "camera closed", "camera open"]
    status, told = await inside.ask("GET", "/api/preview/picture")
    assert (status, told["why"]) == (409, "closed")


async def test_no_preview_in_a_lesson_whose_picture_is_the_classs(inside: SchoolKit) -> None:
    inside.tap("start")
    status, told = await inside.open_preview()
    assert (status, told["why"]) == (409, "lesson")
    await inside.until_happened("camera open")
    assert inside.happened == ["lamp connecting", "camera open"]


async def test_the_curtain_closes_the_preview(inside: SchoolKit) -> None:
    await inside.open_preview()
    await picture(inside)
    inside.tap("curtain")
    await inside.until_happened("lamp off")
    assert inside.happened[-2:] == ["camera closed", "lamp off"]


async def test_a_preview_that_nobody_looks_at_closes_by_itself(
    inside: SchoolKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview_module, "LEASE_S", 0.05)
    await inside.open_preview()
    await inside.until_happened("lamp off")


async def test_who_is_put_out_sees_no_more_pictures(inside: SchoolKit) -> None:
    await inside.open_preview()
    await picture(inside)
    await inside.ask("DELETE", "/api/session")
    assert (await inside.ask("GET", "/api/preview/picture"))[0] == 401


async def test_the_voice_is_measured_while_the_preview_is_open_and_in_a_lesson(inside: SchoolKit) -> None:
    assert (await inside.ask("GET", "/api/status"))[1]["sound"] is None
    await inside.open_preview()
    async with asyncio.timeout(WITHIN_S):
        while (sound := (await inside.ask("GET", "/api/status"))[1]["sound"]) is None:
            pass
    assert sound["verdict"] in ("good", "quiet")
    assert -96 <= sound["level_dbfs"] <= 0


# ---- what is kept ----


async def test_a_crop_is_kept_and_is_the_next_lessons(inside: SchoolKit) -> None:
    await inside.open_preview()
    await picture(inside)
    assert (await inside.ask("PUT", "/api/crop", {"crop": [0.1, 0.2, 0.5, 0.5]}))[0] == 204
    assert read_overrides(inside.state_dir)["camera"] == {"crop": [0.1, 0.2, 0.5, 0.5]}
    assert inside.crops[-1] == (0.1, 0.2, 0.5, 0.5)
    assert (await inside.ask("GET", "/api/status"))[1]["crop"] == [0.1, 0.2, 0.5, 0.5]


async def test_a_crop_is_not_drawn_on_nothing(inside: SchoolKit) -> None:
    status, told = await inside.ask("PUT", "/api/crop", {"crop": [0.1, 0.2, 0.5, 0.5]})
    assert (status, told["why"]) == (409, "closed")


@pytest.mark.parametrize("crop", [[0, 0, 0.05, 0.05], [0.6, 0, 0.5, 0.5], [-0.1, 0, 0.5, 0.5], [0, 0, 1], "all", None])
async def test_a_crop_that_is_none_is_refused(inside: SchoolKit, crop: object) -> None:
    assert (await inside.ask("PUT", "/api/crop", {"crop": crop}))[0] in (400, 422)
    assert read_overrides(inside.state_dir) == {}


async def test_a_code_enrols_at_once_and_the_address_is_kept_and_the_code_is_not(inside: SchoolKit) -> None:
    asked = {"url": "https://other.test", "code": " ABCD-EFGH "}
    assert (await inside.ask("PUT", "/api/relay", asked))[0] == 204
    assert inside.codes == [("https://other.test", "ABCD-EFGH")]
    assert [relay.url for relay in inside.relay.used] == ["https://other.test"]
    assert read_overrides(inside.state_dir)["relay"] == {"url": "https://other.test", "enrol_code": ""}
    assert "ABCD" not in json.dumps((await inside.ask("GET", "/api/status"))[1])


async def test_an_address_that_is_none_is_told_and_not_kept(inside: SchoolKit) -> None:
    status, told = await inside.ask("PUT", "/api/relay", {"url": "relay", "code": "ABCD"})
    assert status == 422
    assert "relay.url" in told["told"]
    assert inside.codes == []


async def test_a_kit_in_a_lesson_stays_where_it_is_enrolled(inside: SchoolKit) -> None:
    inside.tap("start")
    status, told = await inside.ask("PUT", "/api/relay", {"url": "https://other.test", "code": "ABCD"})
    assert (status, told["why"], inside.codes) == (409, "lesson", [])


# ---- checks and log ----


async def findings(kit: SchoolKit) -> dict[str, tuple[str, str]]:
    assert (await kit.ask("POST", "/api/checks"))[0] == 202
    async with asyncio.timeout(WITHIN_S):
        while True:
            checks = (await kit.ask("GET", "/api/status"))[1]["checks"]
            if not checks["running"] and checks["findings"]:
                return {found["check"]: (found["outcome"], found["why"]) for found in checks["findings"]}


async def test_the_checks_open_the_devices_with_the_lamp_lit_and_close_them_again(inside: SchoolKit) -> None:
    found = await findings(inside)
    assert found["enrolment"] == ("failed", "stranger")  # nothing was ever written into this kit's state
    wanted = ("storage", "relay", "round_trip", "clock", "camera", "microphone")
    assert [found[check][0] for check in wanted] == ["ok"] * 6
    await inside.until_happened("lamp off")
    assert inside.happened == ["lamp preview", "camera open", "camera closed", "lamp off"]


async def test_the_checks_leave_a_lesson_alone(inside: SchoolKit) -> None:
    inside.tap("start")
    found = await findings(inside)
    assert [found[check] for check in ("uplink", "camera", "microphone")] == [("skipped", "lesson")] * 3
    assert inside.happened.count("camera open") <= 1


async def test_the_log_is_to_download_and_holds_no_secret(inside: SchoolKit) -> None:
    logging.getLogger("appliance.test").warning("the cable is loose")
    await inside.enter("00000000")
    await inside.ask("PUT", "/api/relay", {"url": "https://other.test", "code": "ABCD-EFGH"})
    async with inside.http.get(f"{inside.url}/api/log") as answer:
        assert answer.headers["Content-Disposition"] == 'attachment; filename="parta-kit.log"'
        text = await answer.text()
    assert "the cable is loose" in text
    for secret in (PIN, "00000000", "ABCD-EFGH", "/c/secret"):
        assert secret not in text


async def test_a_port_that_is_taken_is_told_and_does_not_stop_the_kit(
    kit: SchoolKit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from appliance.settings import KitSection, KitSettings, SetupSection
    from appliance.setup.service import SetupPage

    taken = KitSettings(kit=KitSection(state_dir=str(tmp_path)), setup=SetupSection(host="127.0.0.1", port=kit.port))
    second = SetupPage(taken, new_sources=kit.sources, open_probe=kit.probe, enrol=kit.enrol)
    running = asyncio.create_task(second.run(kit.director, _NoDevices(), kit.relay))
    async with asyncio.timeout(WITHIN_S):
        while f"setup.port: {kit.port} on 127.0.0.1 is in use" not in caplog.text:
            await kit.ask("GET", "/")
    assert not running.done()
    running.cancel()
    await asyncio.wait([running])


class _NoDevices:
    def hearing(self) -> None:
        return None

    def use_camera(self, camera: object) -> None: ...
