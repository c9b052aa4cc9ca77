"""A camera in a worker: killed, hung, crashed, unplugged, and the lesson goes on. Not here: ``tests/conformance``."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest

from appliance.capture.base import AccessUnit
from appliance.capture.clock import LessonClock
from appliance.capture.fanout import Capture
from appliance.capture.silence import NoMicrophone
from appliance.capture.worker import Patience, WorkerCamera, WorkerStream
from appliance.capture.worker_child import QUEUED_PICTURES, Recipe
from appliance.capture.worker_link import HEADER, MAX_PAYLOAD_BYTES, Kind, Link
from appliance.errors import CameraUnavailable
from tests.appliance.capture import faulty_cameras
from tests.appliance.capture.reading import PATIENCE_S, decoded, take, take_until

# Shorter than a kit's, but for what a loaded machine needs to start a process.
QUICK = Patience(first_picture_s=15.0, silent_s=0.5, close_s=0.5, reap_s=2.0, settled_s=60.0)
HANGS_SOON = Patience(load_s=0.3, first_picture_s=0.3, silent_s=0.3, close_s=0.3, reap_s=2.0)


def camera(name: str, patience: Patience = QUICK, **options: object) -> WorkerCamera:
    """One of the faulty cameras, in a worker."""
    return WorkerCamera(Recipe(f"{faulty_cameras.__name__}:{name}", options), patience)


def process_of(stream: WorkerStream) -> int:
    """The stream's worker."""
    assert stream.worker_id is not None
    return stream.worker_id


def killed(stream: WorkerStream) -> int:
    """The stream's worker, killed."""
    worker = process_of(stream)
    os.kill(worker, signal.SIGKILL)
    return worker


def assert_times_rise(units: list[AccessUnit]) -> None:
    """Each later than the one before."""
    captured = [unit.capture_us for unit in units]
    assert captured == sorted(set(captured))


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP], ids=lambda sign: sign.name)
async def test_a_worker_that_dies_or_hangs_is_replaced_and_time_goes_on(sign: signal.Signals) -> None:
    clock = LessonClock.start()
    async with camera("healthy").open(clock) as stream:
        before = await take(stream, 5)
        first = process_of(stream)
        hit_us = clock.now_us()
        os.kill(first, sign)
        after = await take_until(stream, lambda unit: unit.capture_us > hit_us and stream.worker_id != first)
        after += await take(stream, 5)
        assert not psutil.pid_exists(first)
    assert_times_rise(before + after)
    anew = next(unit for unit in after if unit.capture_us > hit_us and unit.key_frame)
    assert len(decoded(after[after.index(anew) :])) == len(after) - after.index(anew)
    assert stream.restarts == 1


async def test_what_the_sensor_could_see_is_known_with_the_first_picture() -> None:
    async with camera("Telling").open(LessonClock.start()) as stream:
        await take(stream, 1)
        assert stream.view == (3280, 2464)


async def test_a_camera_that_needs_three_tries_gets_them(tmp_path: Path) -> None:
    async with camera("crashes_twice", counter=str(tmp_path / "tries")).open(LessonClock.start()) as stream:
        (first,) = await take(stream, 1)
        assert first.key_frame
        assert stream.restarts == 2


@pytest.mark.parametrize(("name", "told"), [("crashes_at_start", "3 times in a row"), ("hangs_at_start", "not loaded")])
async def test_one_that_never_gives_a_picture_is_a_lost_camera(name: str, told: str) -> None:
    patience = HANGS_SOON if name == "hangs_at_start" else QUICK
    with pytest.raises(CameraUnavailable, match=told):
        async with camera(name, patience).open(LessonClock.start()):
            pytest.fail("it gave a picture")


async def test_loading_its_libraries_takes_nothing_from_the_time_for_its_first_picture() -> None:
    patience = Patience(load_s=15.0, first_picture_s=1.5)
    async with camera("slow_to_load", patience, load_s=2.0).open(LessonClock.start()) as stream:
        await take(stream, 1)
        assert stream.restarts == 0


async def test_three_kills_in_a_row_are_a_lost_camera() -> None:
    async with camera("healthy").open(LessonClock.start()) as stream:
        with pytest.raises(CameraUnavailable, match="3 times in a row: its worker crashed"):
            await take_until(stream, lambda _: killed(stream) < 0)
    assert stream.lost


async def test_failures_of_a_worker_that_had_settled_do_not_add_up() -> None:
    patience = Patience(first_picture_s=15.0, silent_s=0.5, close_s=0.5, reap_s=2.0, settled_s=0.0)
    killed: set[int] = set()
    async with camera("healthy", patience).open(LessonClock.start()) as stream:
        async for _ in stream:
            if len(killed) == 4 and process_of(stream) not in killed:
                break
            if process_of(stream) not in killed:
                killed.add(process_of(stream))
                os.kill(process_of(stream), signal.SIGKILL)
    assert stream.restarts == 4


async def test_a_camera_that_says_why_is_believed_at_once() -> None:
    with pytest.raises(CameraUnavailable, match=r"^no camera is connected$"):
        async with camera("Refusing").open(LessonClock.start()):
            pytest.fail("it gave a picture")


async def test_an_unknown_factory_is_a_lost_camera_and_not_a_hang() -> None:
    with pytest.raises(CameraUnavailable):
        async with camera("Missing").open(LessonClock.start()):
            pytest.fail("it gave a picture")


async def test_an_opening_that_is_given_up_leaves_no_process() -> None:
    """The teacher's curtain falls while the camera starts; the leak check looks for what is left."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), camera("healthy").open(LessonClock.start()):
            await asyncio.Event().wait()


async def test_a_camera_that_cannot_be_closed_is_killed() -> None:
    async with camera("NeverClosing").open(LessonClock.start()) as stream:
        await take(stream, 1)
        worker = process_of(stream)
    assert not psutil.pid_exists(worker)


async def test_odd_times_still_rise_and_never_lie_ahead() -> None:
    clock = LessonClock.start()
    async with camera("WildClock").open(clock) as stream:
        units = await take(stream, 30)
        assert units[-1].capture_us <= clock.now_us()
    assert_times_rise(units)


async def test_what_the_kit_asks_for_reaches_the_worker_and_the_rates_every_later_one() -> None:
    async with camera("TellsItsRates").open(LessonClock.start()) as stream:
        await take(stream, 1)
        stream.set_bitrate(700_000)
        stream.set_frame_rate(10)
        await take_until(stream, lambda unit: unit.data == b"700000 10")
        stream.force_key_frame()
        await take_until(stream, lambda unit: unit.key_frame)
        first = killed(stream)
        (anew,) = (await take_until(stream, lambda _: stream.worker_id != first))[-1:]
        assert (anew.key_frame, anew.data) == (True, b"700000 10")
        assert await stream.still() == b"still"


async def test_a_still_whose_worker_dies_says_so() -> None:
    async with camera("healthy").open(LessonClock.start()) as stream:
        await take(stream, 1)
        os.kill(process_of(stream), signal.SIGSTOP)
        still = asyncio.create_task(stream.still())
        await take_until(stream, lambda _: still.done())
        with pytest.raises(CameraUnavailable, match="before it gave the still"):
            await still


async def test_a_reader_that_stalls_piles_nothing_up() -> None:
    """The line is held, the worker waits, and its camera drops before it encodes."""
    clock = LessonClock.start()
    async with camera("healthy").open(clock) as stream:
        await take(stream, 1)
        stalled = asyncio.Event()
        asyncio.get_running_loop().call_later(1.0, stalled.set)  # thirty pictures, of which the line holds a third
        await stalled.wait()
        stalled_us = clock.now_us()
        assert stream.queued <= QUEUED_PICTURES
        units = await take_until(stream, lambda unit: unit.capture_us > stalled_us)
    assert_times_rise(units)


async def test_an_unplugged_camera_is_lost_and_heals_when_it_is_plugged_in_again(tmp_path: Path) -> None:
    """As the kit runs it: by the fan-out, which tells the lesson and opens it again."""
    plug, told = tmp_path / "unplugged", asyncio.Queue[bool]()
    rebooted: list[str] = []

    async def reboot() -> None:
        rebooted.append("asked")

    recipe = Recipe(f"{faulty_cameras.__name__}:Unplugged", {"unplugged": str(plug)})
    source = WorkerCamera(recipe, QUICK, on_lost=reboot)
    capture = Capture(source, NoMicrophone(), [], on_camera=told.put_nowait, retry_s=(0.05, 0.1), silent_s=0.1)
    running = asyncio.create_task(capture.run(LessonClock.start()))
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await told.get()
            plug.touch()
            assert not await told.get()
            assert rebooted == ["asked"]
            plug.unlink()
            assert await told.get()
    finally:
        running.cancel()
        await asyncio.wait([running])
    assert rebooted == ["asked"]


async def test_a_camera_that_never_worked_reboots_nothing() -> None:
    """A kit without a camera must not reboot for ever."""

    async def reboot() -> None:
        pytest.fail("a reboot was asked for")

    recipe = Recipe(f"{faulty_cameras.__name__}:crashes_at_start", {})
    with pytest.raises(CameraUnavailable):
        async with WorkerCamera(recipe, QUICK, on_lost=reboot).open(LessonClock.start()):
            pytest.fail("it gave a picture")


async def test_the_worker_ends_with_a_kit_that_is_killed() -> None:
    """The tally's owner is gone, so nothing is captured: even a worker that hangs goes with it."""
    script = (
        "import asyncio, os, signal, sys\n"
        "from appliance.capture.clock import LessonClock\n"
        "from tests.appliance.capture.test_worker import camera, process_of\n"
        "async def kit():\n"
        "    async with camera('healthy').open(LessonClock.start()) as stream:\n"
        "        os.kill(process_of(stream), signal.SIGSTOP)\n"
        "        print(process_of(stream), flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(kit())\n"
    )
    kit = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert kit.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        worker = psutil.Process(int(await kit.stdout.readline()))
        kit.kill()
        await kit.wait()
        await kit.stdout.read()
        await asyncio.to_thread(psutil.wait_procs, [worker], PATIENCE_S)
    assert not worker.is_running()


async def test_a_torn_line_is_hung_up() -> None:
    ours, theirs = socket.socketpair()
    link = Link(lambda *_: pytest.fail("it said something"), lambda: None)
    ours.setblocking(False)
    with theirs:
        await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=ours)
        theirs.sendall(HEADER.pack(Kind.PICTURE, MAX_PAYLOAD_BYTES + 1, 0))
        async with asyncio.timeout(PATIENCE_S):
            await link.gone.wait()
