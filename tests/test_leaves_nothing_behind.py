"""The leak check itself: it must notice what it promises to notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import leaks

pytest_plugins = ["pytester"]

LEAK_FIXTURES = Path(leaks.__file__)  # read before pytester changes the working folder

# Each leak ends by itself a second later, so that this test leaves nothing behind either.
LEAKS = {
    "task": """
async def test_leak():
    asyncio.get_running_loop().create_task(asyncio.Event().wait(), name="forgotten")
""",
    "thread": """
def test_leak():
    threading.Thread(target=threading.Event().wait, args=(1,), name="forgotten").start()
""",
    "process": """
def test_leak():
    kept.append(subprocess.Popen(["sleep", "1"]))
""",
    "socket": """
def test_leak():
    kept.append(socket.create_server(("127.0.0.1", 0)))
""",
}


@pytest.mark.parametrize("kind", LEAKS)
def test_a_test_that_leaves_something_behind_fails(pytester: pytest.Pytester, kind: str) -> None:
    pytester.makeconftest(LEAK_FIXTURES.read_text(encoding="utf-8").replace("SETTLE_S = 2.0", "SETTLE_S = 0.2"))
    pytester.makepyfile("import asyncio, socket, subprocess, threading\nkept = []\n" + LEAKS[kind])
    result = pytester.runpytest_subprocess("-p", "asyncio", "-o", "asyncio_mode=auto")
    output = result.stdout.str()
    assert "left" in output
    assert kind in output
    assert result.ret == pytest.ExitCode.TESTS_FAILED
