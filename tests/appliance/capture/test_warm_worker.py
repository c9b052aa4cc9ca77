"""The camera worker that waits for the next lesson: loaded, closed, replaced when it dies, gone with the kit."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from appliance.capture import warm_worker
from appliance.capture.clock import LessonClock
from appliance.capture.worker import WorkerCamera
from appliance.capture.worker_child import Recipe, WorkerChild
from appliance.errors import CameraUnavailable
from tests.appliance.capture import faulty_cameras
from tests.appliance.capture.reading import PATIENCE_S, take
from tests.appliance.capture.test_worker import QUICK


@dataclass
class Kept:
    """A camera that is kept warm, and each worker that was started for it, once it is loaded."""

    camera: WorkerCamera
    loaded: asyncio.Queue[int] = field(default_factory=asyncio.Queue)

    async def next_pid(self) -> int:
        """The next worker that has loaded its libraries."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.loaded.get()


@asynccontextmanager
async def kept_warm(monkeypatch: pytest.MonkeyPatch, factory: str, **options: object) -> AsyncIterator[Kept]:
    """A camera as the kit keeps it between lessons."""
    kept = Kept(WorkerCamera(Recipe(f"{faulty_cameras.__name__}:{factory}", options), QUICK))
    start, watching = WorkerChild.start, list[asyncio.Task[None]]()

    async def tell(worker: WorkerChild) -> None:
        await worker.loaded(PATIENCE_S)
        assert worker.pid is not None
        kept.loaded.put_nowait(worker.pid)

    async def noted(recipe: Recipe) -> WorkerChild:
        worker = await start(recipe)
        watching.append(asyncio.create_task(tell(worker)))
        return worker

    monkeypatch.setattr(WorkerChild, "start", noted)
    keeping = asyncio.create_task(kept.camera.keep_warm())
    try:
        yield kept
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        await asyncio.gather(*watching, return_exceptions=True)


async def test_between_lessons_a_worker_is_loaded_and_its_camera_closed_and_a_lesson_takes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    async with kept_warm(monkeypatch, "Prepared", notes=str(notes)) as kept:
        first = await kept.next_pid()
        assert notes.read_text() == f"prepared {first}\n"
        async with kept.camera.open(LessonClock.start()) as stream:
            await take(stream, 1)
            assert stream.worker_id == first
            assert notes.read_text() == f"prepared {first}\nopened {first}\n"
            assert kept.loaded.empty(), "no second one is started beside a lesson"
        second = await kept.next_pid()
        assert notes.read_text().splitlines()[2:] == [f"prepared {second}"]
    assert not psutil.pid_exists(second)


async def test_one_that_dies_while_it_waits_is_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(warm_worker, "AGAIN_S", (0.01, 0.01))
    async with kept_warm(monkeypatch, "Prepared", notes=str(tmp_path / "notes")) as kept:
        for _ in range(3):
            os.kill(await kept.next_pid(), signal.SIGKILL)
        last = await kept.next_pid()
        async with kept.camera.open(LessonClock.start()) as stream:
            await take(stream, 1)
            assert (stream.worker_id, stream.restarts) == (last, 0)
    told = [record for record in caplog.records if record.name == "appliance.supervise"]
    assert sum(record.levelname == "WARNING" for record in told) == 1, "each reason is told once"


async def test_a_press_right_after_it_died_starts_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with kept_warm(monkeypatch, "Prepared", notes=str(tmp_path / "notes")) as kept:
        first = await kept.next_pid()
        os.kill(first, signal.SIGKILL)
        async with kept.camera.open(LessonClock.start()) as stream:
            await take(stream, 1)
            assert stream.worker_id != first


async def test_a_press_while_the_first_is_being_started_gets_that_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    async with kept_warm(monkeypatch, "Prepared", notes=str(notes)) as kept:
        async with kept.camera.open(LessonClock.start()) as stream:
            await take(stream, 1)
        assert [line.split()[0] for line in notes.read_text().splitlines()[:2]] == ["prepared", "opened"]
        await kept.next_pid()


async def test_a_camera_whose_libraries_are_missing_is_told_at_the_press_as_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with kept_warm(monkeypatch, "Refusing") as kept:
        await kept.next_pid()
        with pytest.raises(CameraUnavailable, match=r"^no camera is connected$"):
            async with kept.camera.open(LessonClock.start()):
                pytest.fail("it gave a picture")
        await kept.next_pid()
