"""Fixtures for every test: it leaves no task, thread, process or socket behind. ``conftest.py`` applies them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator

import psutil
import pytest

SETTLE_S = 2.0  # a thread that was told to stop may still be unwinding when the test returns
POLL_S = 0.01


def _child_ids() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE}


def _socket_names() -> set[str]:
    """This process's internet sockets by descriptor and local address (a reused descriptor is a new socket)."""
    return {f"{item.fd}:{item.laddr}" for item in psutil.Process().net_connections(kind="inet")}


def _left_over(threads: set[threading.Thread], children: set[int], sockets: set[str]) -> list[str]:
    # Executor threads belong to the loop, which pytest-asyncio closes after this fixture.
    new_threads = {t.name for t in threading.enumerate() if t not in threads and not t.name.startswith("asyncio_")}
    found = [f"thread {name}" for name in sorted(new_threads)]
    found += [f"process {pid}" for pid in sorted(_child_ids() - children)]
    found += [f"socket {name}" for name in sorted(_socket_names() - sockets)]
    return found


@pytest.fixture(autouse=True)
def leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a thread, process or socket. A module-wide fixture's own are there before and after."""
    for name in request.fixturenames:  # wider fixtures first, so that what they hold is in the "before"
        if name != "leaves_nothing_behind" and _scope_of(request, name) in {"module", "session", "package"}:
            request.getfixturevalue(name)
    before = set(threading.enumerate()), _child_ids(), _socket_names()
    yield
    deadline = time.monotonic() + SETTLE_S
    while (found := _left_over(*before)) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    assert not found, f"the test left behind: {', '.join(found)}"


@pytest.fixture(autouse=True)
async def leaves_no_task_behind() -> AsyncIterator[None]:
    """Fail a test whose tasks outlive it."""
    before = asyncio.all_tasks()
    yield
    mine = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
    if not mine:
        return
    _, pending = await asyncio.wait(mine, timeout=SETTLE_S)  # a cancelled task may still be unwinding
    assert not pending, f"the test left tasks behind: {', '.join(sorted(task.get_name() for task in pending))}"


def _scope_of(request: pytest.FixtureRequest, name: str) -> str:
    definitions = request._fixturemanager.getfixturedefs(name, request.node)
    return definitions[-1].scope if definitions else "function"
