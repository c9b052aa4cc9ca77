"""What holds for every test, and what many need."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.leaks import leaves_no_task_behind, leaves_nothing_behind
from tests.running import FoundedSchool

__all__ = ["founded_school", "leaves_no_task_behind", "leaves_nothing_behind"]


# Tests that run whole programs or a browser in real time, and fill a core with it: one at a time.
REAL_TIME = ("browser", "interop", "conformance", "emulation", "network", "systemd", "scripts", "relay/engines")
TESTS = Path(__file__).parent


settings.register_profile("parta", deadline=None)  # a busy machine is late, and nothing is wrong
settings.load_profile("parta")


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Say which tests may run side by side (``pytest -n 2 --dist loadgroup``): modules, but for the real-time ones."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        module = item.path.relative_to(TESTS).as_posix()
        item.add_marker(pytest.mark.xdist_group("real time" if module.startswith(REAL_TIME) else module))


@pytest.fixture(scope="session")
def founded_school(tmp_path_factory: pytest.TempPathFactory) -> FoundedSchool:
    """A school, made once with the relay's own commands; each test that runs a relay copies it."""
    return FoundedSchool.found(tmp_path_factory.mktemp("founded"))
