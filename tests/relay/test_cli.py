"""``parta-relay`` at a prompt: what people read, what scripts read, and one line for everything that goes wrong."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relay import cli
from tests.relay.running import Ended, configured


@dataclass(frozen=True)
class Prompt:
    """Commands typed at a configuration, in this process: an interpreter for each would take most of the time."""

    config: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, *arguments: str) -> Ended:
        """The command's end."""
        code = cli.main([*arguments, "--config", str(self.config)])
        return Ended(code, *self.capsys.readouterr())

    def ask(self, *arguments: str) -> Any:
        """What it answers in JSON."""
        ended = self.run(*arguments, "--json")
        assert ended.code == 0, ended.errors
        return json.loads(ended.output)


@pytest.fixture
def at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Prompt]:
    umask = os.umask(0o022)
    yield Prompt(configured(tmp_path).config, capsys)
    os.umask(umask)


def test_a_school_is_set_up_with_three_commands(at: Prompt) -> None:
    school = at.ask("school", "add", "Школа № 7")
    assert school["name"] == "Школа № 7"
    made = at.ask("class", "add", "7Б")
    assert made["class_path"].startswith("/c/")
    assert made["url"].endswith(made["class_path"])
    code = at.ask("kit", "enrol-code", "--room", "12", "--class", "7Б")
    assert {"code", "room", "class_name", "school", "expires_unix_ms"} == code.keys()
    assert at.ask("class", "list") == [{"class_id": made["class_id"], "name": "7Б", "school": "Школа № 7"}]
    assert (at.ask("room", "list"))[0]["class_name"] == "7Б"
    assert (at.ask("class", "link", "7Б"))["class_path"] == made["class_path"]
    assert (at.ask("class", "rotate-link", "7Б"))["class_path"] != made["class_path"]


def test_a_stream_key_comes_with_where_to_send_to(at: Prompt) -> None:
    at.run("school", "add", "Школа")
    at.run("class", "add", "7Б")
    key = at.ask("kit", "stream-key", "--room", "12", "--class", "7Б", "--days", "1")
    assert key["whip_url"].endswith("/whip")
    [listed] = at.ask("kit", "list")
    assert (listed["id"], listed["kind"], listed["revoked"]) == (key["key_id"], "stream key", False)
    assert key["stream_key"] not in str(listed)
    assert (at.ask("kit", "revoke", key["key_id"][:6]))["id"] == key["key_id"]
    assert (at.ask("kit", "list"))[0]["revoked"]


def test_people_read_sentences_and_tables(at: Prompt) -> None:
    assert (at.run("school", "list")).output.startswith("no school yet; make one with")
    assert (at.run("school", "add", "Школа")).output == "School Школа is there.\n"
    assert "Its pupils open http://" in (at.run("class", "add", "7Б")).output
    table = (at.run("class", "list")).output.splitlines()
    assert [line.split() for line in table] == [["NAME", "SCHOOL"], ["7Б", "Школа"]]
    assert (at.run("lesson", "list")).output == "no lesson yet\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("class", "add", "7Б"), "there is no school yet; make one with `parta-relay school add NAME`"),
        (("lesson", "end", "abc"), "no running lessons have an id that starts with abc"),
        (("kit", "revoke", "abc"), "no kits or stream keys have an id that starts with abc"),
        (("school", "add", " "), "a name needs 1 to 200 characters"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(at: Prompt, arguments: tuple[str, ...], told: str) -> None:
    ended = at.run(*arguments)
    assert (ended.code, ended.output, ended.errors) == (2, "", f"parta-relay: {told}\n")


@pytest.mark.parametrize("arguments", [("serve",), ("school", "list"), ("check",)])
def test_a_missing_or_broken_configuration_is_one_line(at: Prompt, arguments: tuple[str, ...]) -> None:
    at.config.write_text("[web]\nprot = 1\n")
    broken = at.run(*arguments)
    assert broken.code == 2
    assert broken.errors == f"parta-relay: {at.config}: web.prot: unknown key; did you mean port?\n"
    at.config.unlink()
    missing = at.run(*arguments)
    assert missing.code == 2
    assert missing.errors == f"parta-relay: {at.config}: no such file; give an existing one with --config\n"


def test_a_good_configuration_is_called_good(at: Prompt) -> None:
    ended = at.run("check")
    assert (ended.code, ended.output) == (0, f"{at.config}: good\n")


@contextmanager
def taken(kind: socket.SocketKind) -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            other.listen()
        yield other.getsockname()[1]


async def test_a_port_that_is_taken_is_named_with_the_remedy(tmp_path: Path) -> None:
    with taken(socket.SOCK_STREAM) as web, taken(socket.SOCK_DGRAM) as media:
        for at, told in (
            (
                configured(tmp_path / "a", web_port=web),
                f"web.port: TCP port {web} is in use; stop the other program, or",
            ),
            (configured(tmp_path / "b", media_port=media), f"media.port: UDP port {media} is in use; stop the other"),
        ):
            ended = await at.run("serve")
            assert ended.code == 2
            last = ended.errors.splitlines()[-1]
            assert last.startswith(f"parta-relay: {told}")
            assert "Traceback" not in ended.errors


async def test_a_turn_secret_that_is_missing_or_too_short_is_named(tmp_path: Path) -> None:
    secret = tmp_path / "turn.secret"
    more = f'[turn]\nurls = ["turns:turn.example:443?transport=tcp"]\nsecret_file = "{secret}"\n'
    at = configured(tmp_path / "relay", more=more)
    for told in ("cannot be read: No such file or directory", "holds no secret to rely on; docs/turn.md makes one"):
        ended = await at.run("serve")
        assert ended.code == 2
        assert ended.errors.splitlines()[-1] == f"parta-relay: turn.secret_file: {secret} {told}"
        secret.write_text("short\n")


async def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    at = configured(tmp_path)
    (tmp_path / "state").write_text("a file")
    ended = await at.run("serve")
    assert ended.code == 2
    assert ended.errors.startswith(f"parta-relay: relay.state_dir: {tmp_path / 'state'} cannot be made")


@pytest.mark.parametrize("arguments", [["--help"], ["kit", "--help"], ["kit", "enrol-code", "--help"], ["--version"]])
def test_help_is_there_at_every_level(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert told.startswith(("usage: parta-relay", "parta-relay "))


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["class"], ["kit", "enrol-code", "--hours", "-1"]])
def test_a_command_that_is_none_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: parta-relay" in capsys.readouterr().err


async def test_commands_may_run_at_the_same_time(tmp_path: Path) -> None:
    at = configured(tmp_path)
    ended = await asyncio.gather(*(at.run("school", "add", name) for name in ("Школа", "Лицей")))
    assert [one.code for one in ended] == [0, 0], [one.errors for one in ended]
    assert {school["name"] for school in (await at.run("school", "list", "--json")).json} == {"Школа", "Лицей"}


def test_what_the_relay_keeps_is_its_owners_alone(at: Prompt) -> None:
    at.run("school", "add", "Школа")
    kept = [path for path in (at.config.parent / "state").rglob("*") if path.is_file()]
    assert kept
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept)
