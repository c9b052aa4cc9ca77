"""What holds for every test, and what many need."""

from __future__ import annotations

import pytest

from tests.leaks import leaves_no_task_behind, leaves_nothing_behind
from tests.running import FoundedSchool

__all__ = ["founded_school", "leaves_no_task_behind", "leaves_nothing_behind"]


@pytest.fixture(scope="session")
def founded_school(tmp_path_factory: pytest.TempPathFactory) -> FoundedSchool:
    """A school, made once with the relay's own commands; each test that runs a relay copies it."""
    return FoundedSchool.found(tmp_path_factory.mktemp("founded"))
