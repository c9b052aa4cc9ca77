"""The control channel: hello and welcome, what a status does, and what the kit is told."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from msgspec import structs

from relay.web import control as module
from tests.relay.web.recording_engine import OFFER
from tests.relay.web.served import (
    LESSON,
    WAIT_S,
    Served,
    TokenKit,
    control,
    hear,
    hear_close,
    lesson_status,
    say,
    welcomed,
)
from wire.messages import VERSIONS, Command, Delivery, Hello, KitHealth, Welcome


async def delivery_until(socket: aiohttp.ClientWebSocketResponse, *, on_air: bool) -> Delivery:
    async with asyncio.timeout(WAIT_S):
        while True:
            message = await hear(socket)
            if isinstance(message, Delivery) and message.on_air == on_air:
                return message


async def command_from(socket: aiohttp.ClientWebSocketResponse) -> Command:
    async with asyncio.timeout(WAIT_S):
        while True:
            message = await hear(socket)
            if isinstance(message, Command):
                return message


async def until_connected(relay: Served, count: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while f"parta_kits_connected {count}.0" not in await relay.text("/metrics"):
            pass


async def publish(relay: Served, kit: TokenKit) -> None:
    headers = kit.bearer("POST", "/whip") | {"Content-Type": "application/sdp"}
    async with relay.http.post(f"{relay.url}/whip", data=OFFER, headers=headers) as response:
        assert response.status == 201


async def test_a_kit_says_hello_and_is_told_whom_it_teaches(relay: Served, kit: TokenKit) -> None:
    async with control(relay, kit) as socket:
        await say(socket, Hello(versions=(99, *VERSIONS), software="test"))
        welcome = await hear(socket)
    assert welcome == Welcome(
        version=VERSIONS[0], school="Школа № 7", room="12", class_name="7Б", class_path=f"/c/{relay.link}"
    )


async def test_without_a_common_version_it_closes_with_4406(relay: Served, kit: TokenKit) -> None:
    async with control(relay, kit) as socket:
        await say(socket, Hello(versions=(99,), software="test"))
        assert await hear_close(socket) == 4406


async def test_a_newer_connection_of_a_kit_replaces_the_older(relay: Served, kit: TokenKit) -> None:
    async with welcomed(relay, kit) as older, welcomed(relay, kit) as newer:
        assert await hear_close(older) == 4409
        await say(newer, lesson_status())
        await delivery_until(newer, on_air=False)
        await until_connected(relay, 1)


async def test_the_kit_is_told_the_truth_about_delivery_at_every_change(relay: Served, kit: TokenKit) -> None:
    async with welcomed(relay, kit) as socket:
        await say(socket, lesson_status())
        await delivery_until(socket, on_air=False)
        await publish(relay, kit)
        assert (await delivery_until(socket, on_air=True)).lesson_id == LESSON
        relay.engine.measure(relay.class_id, publisher=kit.kit_id, picture=False)
        stale = await delivery_until(socket, on_air=False)
        assert (stale.picture_fresh, stale.sound_fresh) == (False, True)


async def test_delivery_is_repeated_without_a_change(relay: Served, kit: TokenKit) -> None:
    async with welcomed(relay, kit) as socket:
        await say(socket, lesson_status())
        heard = [await hear(socket) for _ in range(3)]
        assert all(isinstance(message, Delivery) for message in heard)


async def test_a_status_without_the_lesson_ends_it_and_its_session(relay: Served, kit: TokenKit) -> None:
    async with welcomed(relay, kit) as socket:
        await say(socket, lesson_status())
        await delivery_until(socket, on_air=False)
        await publish(relay, kit)
        await say(socket, lesson_status("idle", None))
        async with asyncio.timeout(WAIT_S):
            while relay.engine.publishers:
                await relay.text("/healthz")
        assert relay.relay.live.class_state(relay.class_id).state == "over"


async def test_a_kit_that_goes_leaves_its_lesson_running(relay: Served, kit: TokenKit) -> None:
    async with welcomed(relay, kit) as socket:
        await say(socket, lesson_status())
        await delivery_until(socket, on_air=False)
    await until_connected(relay, 0)
    assert relay.relay.live.running_lesson(kit.kit_id) is not None


async def test_a_lesson_ended_by_the_school_is_commanded_to_end(relay: Served, kit: TokenKit) -> None:
    async with welcomed(relay, kit) as socket:
        await say(socket, lesson_status())
        await delivery_until(socket, on_air=False)
        await relay.log.flushed()
        await relay.office.end_lesson(LESSON, relay.clock().unix_ms)
        await relay.notice()
        await say(socket, lesson_status())
        command = await command_from(socket)
        assert (command.kind, command.lesson_id) == ("end_lesson", LESSON)


async def test_a_rotated_link_makes_the_kit_come_again_for_the_new_one(relay: Served, kit: TokenKit) -> None:
    async with welcomed(relay, kit) as socket:
        made = await relay.office.rotate_link("7Б", None)
        await relay.notice()
        assert await hear_close(socket) == aiohttp.WSCloseCode.SERVICE_RESTART
    async with control(relay, kit) as socket:
        await say(socket, Hello(versions=VERSIONS, software="test"))
        welcome = await hear(socket)
        assert isinstance(welcome, Welcome)
        assert welcome.class_path == f"/c/{made.link}"


async def test_a_revoked_kit_is_shut_out(relay: Served, kit: TokenKit) -> None:
    async with welcomed(relay, kit) as socket:
        await relay.office.revoke(kit.kit_id, relay.clock().unix_ms)
        await relay.notice()
        assert await hear_close(socket) == aiohttp.WSCloseCode.POLICY_VIOLATION
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with control(relay, kit):
            pass
    assert caught.value.status == 401


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("not json", aiohttp.WSCloseCode.POLICY_VIOLATION),
        ('{"type": "kit_status", "state": "asleep"}', aiohttp.WSCloseCode.POLICY_VIOLATION),
        ("x" * (16 * 1024 + 1), aiohttp.WSCloseCode.MESSAGE_TOO_BIG),
        (b"\x00\x01", aiohttp.WSCloseCode.UNSUPPORTED_DATA),
        (
            '{"type": "kit_status", "state": "live", "tally": "off",'
            ' "lesson": {"lesson_id": "../../etc", "started_unix_ms": 0}}',
            aiohttp.WSCloseCode.POLICY_VIOLATION,
        ),
    ],
)
async def test_what_breaks_the_protocol_ends_the_connection_alone(
    relay: Served, kit: TokenKit, frame: str | bytes, code: int
) -> None:
    async with welcomed(relay, kit) as socket:
        if isinstance(frame, bytes):
            await socket.send_bytes(frame)
        else:
            await socket.send_str(frame)
        assert await hear_close(socket) == code
    assert relay.relay.live.running_lessons() == []
    async with welcomed(relay, kit):
        pass


async def test_a_message_of_a_later_version_is_skipped(relay: Served, kit: TokenKit) -> None:
    async with welcomed(relay, kit) as socket:
        await socket.send_str('{"type": "mood", "mood": "good"}')
        await say(socket, lesson_status())
        await delivery_until(socket, on_air=False)


async def test_a_kit_that_does_not_say_hello_is_let_go(
    relay: Served, kit: TokenKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELLO_S", 0.05)
    async with control(relay, kit) as socket:
        await hear_close(socket)


async def test_another_first_word_than_hello_is_refused(relay: Served, kit: TokenKit) -> None:
    async with control(relay, kit) as socket:
        await say(socket, lesson_status())
        assert await hear_close(socket) == aiohttp.WSCloseCode.POLICY_VIOLATION


async def test_a_kit_that_falls_silent_is_gone(relay: Served, kit: TokenKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 0.1)
    async with welcomed(relay, kit) as socket:
        await hear_close(socket)
    await until_connected(relay, 0)


async def test_a_kit_that_does_not_read_is_let_go_and_holds_up_nobody(
    relay: Served, kit: TokenKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEND_S", 0.2)
    monkeypatch.setattr(module, "MIN_GAP_S", 0.0)
    quick = await relay.kit()
    async with welcomed(relay, kit) as slow, welcomed(relay, quick) as socket:
        await say(slow, lesson_status())
        assert slow._conn is not None
        assert slow._conn.transport is not None
        slow._conn.transport.pause_reading()
        await say(socket, lesson_status("live", "2e" * 16))
        viewers = 0
        async with asyncio.timeout(WAIT_S):  # until the slow kit's buffers are full, and it is dropped
            while "parta_kits_connected 1.0" not in await relay.text("/metrics"):
                for _ in range(200):
                    viewers += 1
                    relay.engine.measure(relay.class_id, publisher=quick.kit_id, viewers=viewers)
                    await hear(socket)
        slow._conn.transport.resume_reading()


async def test_a_plain_request_is_asked_to_upgrade(relay: Served, kit: TokenKit) -> None:
    headers = kit.bearer("GET", "/control", None)
    async with relay.http.get(f"{relay.url}/control", headers=headers) as response:
        assert (response.status, response.headers["Upgrade"]) == (426, "websocket")


async def test_connections_end_at_once_when_the_relay_stops(relay: Served, kit: TokenKit) -> None:
    async with welcomed(relay, kit) as socket:
        stopping = asyncio.create_task(relay.runner.cleanup())
        assert await hear_close(socket) == aiohttp.WSCloseCode.GOING_AWAY
        await asyncio.wait_for(stopping, 2.0)


async def until_metrics(relay: Served, *lines: str) -> None:
    async with asyncio.timeout(WAIT_S):
        while not set(lines) <= set((await relay.text("/metrics")).splitlines()):
            pass


async def test_what_ails_a_kits_board_is_counted_while_it_is_connected(relay: Served, kit: TokenKit) -> None:
    hot, flat = 'parta_kit_warnings{warning="too_hot"}', 'parta_kit_warnings{warning="under_voltage"}'
    await until_metrics(relay, f"{hot} 0.0", f"{flat} 0.0")
    async with welcomed(relay, kit) as socket:
        ill = structs.replace(lesson_status(), health=KitHealth(warnings=("too_hot", "of a newer version")))
        await say(socket, ill)
        await say(socket, ill)
        await until_metrics(relay, f"{hot} 1.0", f"{flat} 0.0")
        await say(socket, structs.replace(ill, health=KitHealth(warnings=("under_voltage",))))
        await until_metrics(relay, f"{hot} 0.0", f"{flat} 1.0")
        assert "newer" not in await relay.text("/metrics")
    await until_metrics(relay, f"{hot} 0.0", f"{flat} 0.0")
