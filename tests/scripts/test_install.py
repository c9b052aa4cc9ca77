"""The wheel is whole, and each half of it installs and runs without the other's dependencies."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
UV = Path(sys.executable).with_name("uv")
SHIPPED = ("appliance", "relay", "service", "wire", "config")
INSTALL_S = 120  # a cold cache downloads about 60 MB


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command that must succeed; what it printed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as a packager would."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    return next(folder.glob("parta-*.whl"))


def shipped_files() -> set[str]:
    """Every file of the packages, apart from what Python itself puts there."""
    files = (path for top in SHIPPED for path in (ROOT / top).rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}


def test_the_wheel_holds_every_page_style_script_and_migration(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert shipped_files() - inside == set()
    kinds = {Path(name).suffix for name in inside}
    assert {".py", ".toml", ".html", ".css", ".js"} <= kinds


def test_the_wheel_holds_the_player_of_recordings_and_its_licence(wheel: Path) -> None:
    player, licence = (f"relay/web/pages/static/hls.{kind}" for kind in ("mjs", "license.txt"))
    inside = zipfile.ZipFile(wheel)
    assert b"export" in inside.read(player)
    assert b"Apache License" in inside.read(licence)


def test_the_wheel_holds_no_tests_and_no_tools(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert tops == {*SHIPPED, next(top for top in tops if top.endswith(".dist-info"))}


@pytest.mark.parametrize(
    ("half", "command", "root", "needless"),
    [
        ("relay", "parta-relay", "relay.app", ("aiortc", "av", "numpy")),
        ("kit", "parta-kit", "appliance.kit", ("sqlalchemy", "alembic", "jinja2")),
    ],
)
def test_a_half_installs_and_answers_on_its_own(
    wheel: Path, tmp_path: Path, half: str, command: str, root: str, needless: tuple[str, ...]
) -> None:
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    # Dependencies come from what the wheel itself declares; the lock only says which versions.
    lock = ROOT / "requirements" / f"{half}.txt"
    run(UV, "pip", "install", "--quiet", "--python", python, "--constraint", lock, f"parta[{half}] @ {wheel.as_uri()}")

    assert "usage" in run(environment / "bin" / command, "--help", cwd=tmp_path).lower()
    assert "0.1.0" in run(environment / "bin" / command, "--version", cwd=tmp_path)
    look = f"import importlib.util as u; print([n for n in {needless!r} if u.find_spec(n)])"
    assert run(python, "-c", look, cwd=tmp_path).strip() == "[]"
    run(python, "-c", f"import {root}", cwd=tmp_path)
