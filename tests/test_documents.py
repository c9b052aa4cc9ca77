"""What the documents promise exists: links, files, ``make`` targets, commands, and configuration keys."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.settings import KitSettings
from config.strict_toml import parse
from relay.settings import RelaySettings

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SOURCE_SUFFIXES = {".py", ".js", ".css", ".html", ".toml", ".md", ".sh", ".svg", ".txt", ".json"}
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")


def anchors(text: str) -> set[str]:
    """The anchors that a Markdown page's headings make, as hosts of repositories do it."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def broken_links(document: Path, text: str) -> list[str]:
    """Links of a page that lead nowhere. Links to other hosts are not followed: tests stay on loopback."""
    broken = []
    for target in LINK.findall(FENCE.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(target)
    return broken


def make_targets() -> set[str]:
    """The targets that a person may type."""
    found = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert "run" in found
    return set(found)


def named_make_targets(text: str) -> set[str]:
    """The targets that a page tells its reader to make."""
    in_code = "\n".join([*CODE.findall(FENCE.sub("", text)), *(body for _, body in FENCE.findall(text))])
    return set(re.findall(r"(?:^|&& )make ([a-z-]+)", in_code, re.MULTILINE))


def named_paths(text: str) -> set[str]:
    """Files and folders of this repository that a page names in code: ``appliance/stream/peer.py``, ``bench/``."""
    tops = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    words = {word for code in CODE.findall(FENCE.sub("", text)) for word in code.split()}
    return {word for word in words if re.fullmatch(r"[\w.-]+(/[\w.-]*)+", word) and word.partition("/")[0] in tops}


def keys_of(settings: type[msgspec.Struct]) -> set[str]:
    """Every key of a configuration file, as ``section.key``."""
    sections: dict[str, dict[str, Any]] = msgspec.to_builtins(settings())
    return {f"{section}.{key}" for section, keys in sections.items() for key in keys}


def named_keys(text: str, sections: set[str]) -> set[str]:
    """Configuration keys that a page names in code, such as ``camera.kind`` or ``panel.kind = "simulated"``."""
    names = (re.match(r"([a-z]+)\.([a-z_]+)(?= =|$)", code) for code in CODE.findall(FENCE.sub("", text)))
    found = {name.group(0) for name in names if name and name.group(1) in sections}
    return {name for name in found if f".{name.rpartition('.')[2]}" not in SOURCE_SUFFIXES}


def commands(text: str) -> set[tuple[str, ...]]:
    """``parta-…`` commands with their subcommands, in code: ``("parta-relay", "class", "add")``."""
    in_code = "\n".join([*CODE.findall(FENCE.sub("", text)), *(body for _, body in FENCE.findall(text))])
    found = re.findall(r"(parta-(?:kit|relay))((?: [a-z][a-z-]*)*)", in_code)
    return {(program, *words.split()) for program, words in found}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    assert broken_links(document, document.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_that_a_page_names_exists(document: Path) -> None:
    assert named_make_targets(document.read_text(encoding="utf-8")) <= make_targets()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_page_names_exists(document: Path) -> None:
    missing = {path for path in named_paths(document.read_text(encoding="utf-8")) if not (ROOT / path).exists()}
    assert missing == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_configuration_key_that_a_page_names_exists(document: Path) -> None:
    known = keys_of(KitSettings) | keys_of(RelaySettings)
    named = named_keys(document.read_text(encoding="utf-8"), {key.partition(".")[0] for key in known})
    assert named <= known


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_configuration_example_is_one_that_loads(document: Path) -> None:
    for language, body in FENCE.findall(document.read_text(encoding="utf-8")):
        if language == "toml":
            schema = RelaySettings if re.search(r"^\[(web|media|store)\]", body, re.MULTILINE) else KitSettings
            parse(body, schema, origin=document.name)


def all_commands() -> list[tuple[str, ...]]:
    """Every command that any document names."""
    return sorted({found for document in DOCUMENTS for found in commands(document.read_text(encoding="utf-8"))})


@pytest.mark.parametrize("command", all_commands(), ids=" ".join)
def test_every_command_that_a_page_names_answers_to_help(command: tuple[str, ...]) -> None:
    program, *words = command
    path = Path(sys.executable).with_name(program)
    done = subprocess.run([path, *words, "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_readme_names_the_two_commands_and_ci_runs_the_second() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {"run", "test"} <= named_make_targets(readme)
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize(
    ("find", "text", "found"),
    [
        (named_make_targets, "type `make rnu` and\n```sh\nmake tets\n```\nor make sense", {"rnu", "tets"}),
        (named_paths, "see `relay/nowhere.py` and `POST /whip`", {"relay/nowhere.py"}),
        (lambda text: named_keys(text, {"camera"}), "set `camera.fsp = 3`, see `camera.py`", {"camera.fsp"}),
        (commands, "`parta-relay class ad 7Б`", {("parta-relay", "class", "ad")}),
        (lambda text: set(broken_links(ROOT / "README.md", text)), "[a](b.md) [c](#d) [e](LICENSE)", {"b.md", "#d"}),
    ],
)
def test_a_promise_that_is_broken_would_be_found(find: Any, text: str, found: set[Any]) -> None:
    assert find(text) == found
