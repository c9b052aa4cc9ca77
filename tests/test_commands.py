"""What ``parta-kit`` and ``parta-relay`` have in common on the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from appliance import cli as kit
from relay import cli as relay


@pytest.mark.parametrize("main", [kit.main, relay.main], ids=["parta-kit", "parta-relay"])
def test_the_configuration_may_be_named_before_or_after_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], main: Callable[[Sequence[str]], int]
) -> None:
    good, missing = tmp_path / "good.toml", tmp_path / "missing.toml"
    good.touch()
    assert main(["--config", str(good), "check"]) == 0
    assert main(["check", "--config", str(good)]) == 0
    assert main(["--config", str(missing), "check", "--config", str(good)]) == 0  # the last one counts
    assert capsys.readouterr().out == f"{good}: good\n" * 3
    assert main(["--config", str(missing), "check"]) == 2
    assert str(missing) in capsys.readouterr().err
