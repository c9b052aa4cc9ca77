"""Engine processes: where lessons go, and what becomes of them when a process dies, hangs, or cannot start."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator

import psutil
import pytest

from relay.engines.base import NOBODY
from relay.engines.workers import CannotStart, WorkerPool, worker
from relay.engines.workers.pool import _counted_up
from relay.errors import EngineFull, SessionUnknown
from tests.relay.engines.any_engine import port_of, publisher_of, viewer_of
from tests.relay.engines.raw_peer import Camera, Rtp, picture_number, some_offer
from tests.relay.engines.waiting import until
from tests.running import free_ports

WAIT_S = 10.0
RESTART_S = 30.0  # a cold interpreter on a busy machine


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    made = WorkerPool(2, port=free_ports(2), host="127.0.0.1")
    await made.start()
    yield made
    await made.close()


def kill(pool: WorkerPool, port: int, how: signal.Signals = signal.SIGKILL) -> int:
    """Send a signal to the process on this port; its id."""
    pid = next(one.pid for one in pool.workers if one.port == port)
    assert pid is not None
    os.kill(pid, how)
    return pid


async def test_lessons_are_spread_and_their_viewers_follow_them(pool: WorkerPool) -> None:
    ports = [port_of((await pool.watch(channel, some_offer())).sdp) for channel in ("7B", "8A", "7B", "9C", "8A")]
    assert ports[0] == ports[2] != ports[1] == ports[4]
    assert ports[3] == ports[1]  # two sessions were on each; the first has no fewer channels than the second
    assert {one.port for one in pool.workers} == set(ports)


async def test_a_lesson_that_is_over_may_go_elsewhere(pool: WorkerPool) -> None:
    first = await pool.watch("7B", some_offer())
    await pool.watch("8A", some_offer())
    await pool.end(first.session_id)
    again = await pool.watch("9C", some_offer())
    assert port_of(again.sdp) == port_of(first.sdp)


async def test_offers_that_come_at_once_go_to_one_process(pool: WorkerPool) -> None:
    answers = await asyncio.gather(*(pool.watch("7B", some_offer()) for _ in range(6)))
    assert len({port_of(answer.sdp) for answer in answers}) == 1


async def test_a_killed_process_ends_its_lessons_at_once_and_no_other(pool: WorkerPool) -> None:
    async with (
        publisher_of(pool, "7B") as dying,
        publisher_of(pool, "8A") as other,
        viewer_of(pool, "7B") as victim,
        viewer_of(pool, "8A") as spared,
    ):
        camera, numbers = Camera(), []
        told = asyncio.Event()
        pool.subscribe(lambda name: told.set() if name == "7B" and pool.delivery(name) == NOBODY else None)
        other.send(camera.picture())
        numbers.append(await spared.next_rtp())
        await until(lambda: pool.delivery("7B").publisher == "kit")
        kill(pool, dying.to[1])
        await asyncio.wait_for(told.wait(), WAIT_S)
        for lost in (dying, victim):
            with pytest.raises(SessionUnknown):
                pool.channel_of(lost.session_id)
        # Whoever comes again is taken at once, by what is left.
        async with publisher_of(pool, "7B") as again, viewer_of(pool, "7B") as returned:
            assert again.to == returned.to == other.to
            again.send(packet := Camera(ssrc=7).picture())
            assert (await returned.next_rtp()).payload == packet.payload
            for _ in range(30):
                other.send(camera.picture())
                numbers.append(await spared.next_rtp())
            await until(lambda: pool.counters()["workers_now"] == 2, RESTART_S)
        seen(numbers)
    assert pool.counters()["worker_restarts"] == 1


def seen(packets: list[Rtp]) -> None:
    """Assert that nothing is missing."""
    assert [picture_number(packet) for packet in packets] == list(range(len(packets)))
    first = packets[0].sequence
    assert [packet.sequence for packet in packets] == [first + number for number in range(len(packets))]


async def test_the_process_that_follows_takes_lessons_on_the_same_port(pool: WorkerPool) -> None:
    port = pool.workers[0].port
    pid = kill(pool, port)
    await until(lambda: pool.counters()["worker_restarts"] == 1 and pool.workers[0].up, RESTART_S)
    assert pool.workers[0].pid != pid
    async with viewer_of(pool) as viewer:
        assert viewer.to[1] == port


async def test_totals_do_not_run_backwards_when_a_process_ends(pool: WorkerPool) -> None:
    async with viewer_of(pool) as viewer:
        await until(lambda: pool.counters().get("dtls_established") == 1)
        kill(pool, viewer.to[1])
        await until(lambda: pool.delivery("7B") == NOBODY)
    assert pool.counters()["dtls_established"] == pool.counters()["sessions_opened"] == 1
    assert pool.counters()["sessions_now"] == 0


async def test_a_process_that_hangs_is_killed_and_another_started(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SILENT_S", 1.5)
    monkeypatch.setattr(worker, "ANSWER_S", 0.5)
    async with viewer_of(pool) as viewer:
        await until(lambda: pool.delivery("7B").viewers == 1)
        kill(pool, viewer.to[1], signal.SIGSTOP)
        with pytest.raises(EngineFull, match="does not answer"):
            await pool.watch("7B", some_offer())
        # What was read before the limit was set may be waited for with the old one: 8 s.
        await until(lambda: pool.counters()["worker_restarts"] == 1, RESTART_S)
        with pytest.raises(SessionUnknown):
            pool.channel_of(viewer.session_id)


async def test_who_asks_while_a_process_dies_is_asked_to_come_again(pool: WorkerPool) -> None:
    first = await pool.watch("7B", some_offer())
    kill(pool, port_of(first.sdp), signal.SIGSTOP)
    asked = asyncio.create_task(pool.watch("7B", some_offer()))
    await until(lambda: bool(pool.workers[0]._asked))
    kill(pool, port_of(first.sdp))
    with pytest.raises(EngineFull, match="try again"):
        await asked


async def test_a_session_that_nobody_waits_for_any_more_is_ended(pool: WorkerPool) -> None:
    """The request was cancelled while the process had yet to answer it."""
    port = pool.workers[0].port
    kill(pool, port, signal.SIGSTOP)
    asked = asyncio.create_task(pool.watch("7B", some_offer()))
    await until(lambda: bool(pool.workers[0]._asked))
    asked.cancel()
    await asyncio.wait({asked})
    kill(pool, port, signal.SIGCONT)
    await until(lambda: pool.counters().get("sessions_ended") == 1)
    await until(lambda: not pool.workers[0].sessions)
    assert pool.counters()["sessions_opened"] == 1


async def test_a_port_that_is_taken_is_named_and_nothing_is_left_running() -> None:
    port = free_ports(2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port + 1))
        with pytest.raises(CannotStart, match="in use") as failed:
            await WorkerPool(2, port=port, host="127.0.0.1").start()
    assert failed.value.port == port + 1


async def test_a_process_that_ignores_the_end_is_killed(pool: WorkerPool) -> None:
    pids = [kill(pool, one.port, signal.SIGSTOP) for one in pool.workers]
    async with asyncio.timeout(2 * worker.END_S + WAIT_S):
        await pool.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_signals_to_the_whole_group_are_left_to_the_relay(pool: WorkerPool) -> None:
    """Ctrl-C, and systemd's SIGTERM to all of a service."""
    async with viewer_of(pool) as viewer, publisher_of(pool) as publisher:
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            kill(pool, viewer.to[1], sign)
        publisher.send(packet := Camera().picture())
        assert (await viewer.next_rtp()).payload == packet.payload


@pytest.mark.parametrize(
    ("entry", "second"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:18443", "203.0.113.7:18444"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:18443", "[2001:db8::7]:18444"),
        ("[2001:db8::7]", "[2001:db8::7]"),
        ("relay.school.example:9", "relay.school.example:10"),
    ],
)
def test_an_advertised_port_counts_up_with_the_processes(entry: str, second: str) -> None:
    assert _counted_up(entry, 1) == second
