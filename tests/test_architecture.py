"""The direction of dependencies, held by walking every import (docs/architecture.md says why each rule is there).

``violations`` is a pure function of sources, so that each rule is also shown a module that breaks it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("appliance", "relay", "service", "wire", "config")
AROUND = ("bench", "scripts", "tests")

MAX_LINES = 400
MAX_FUNCTION_LINES = 60
EMPTY_NAMES = frozenset({"util", "utils", "helper", "helpers", "manager", "managers", "misc", "common"})

#: Who must not import what. A name stands for the module and everything below it.
FORBIDDEN: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("wire", ("appliance", "relay", "config", "service")),
    ("config", ("appliance", "relay", "wire", "service")),
    ("service", ("appliance", "relay", "wire", "config", *AROUND)),
    ("appliance", ("relay", *AROUND)),
    ("relay", ("appliance", *AROUND)),
    # No decoder and no encoder anywhere in the relay: it forwards packets.
    ("relay", ("av", "aiortc", "numpy")),
    ("relay.classroom", ("aiohttp", "sqlalchemy", "alembic", "relay.web", "relay.store", "relay.engines.embedded")),
    ("relay.archive", ("aiohttp", "sqlalchemy", "alembic", "relay.web", "relay.store", "relay.engines.embedded")),
    ("relay.engines", ("aiohttp", "sqlalchemy", "relay.web", "relay.store", "relay.classroom")),
    ("relay.store", ("aiohttp", "relay.web", "relay.engines")),
    ("appliance.capture", ("aiohttp", "aiortc", "appliance.stream", "appliance.hw", "appliance.lesson")),
    ("appliance.stream", ("appliance.hw", "appliance.lesson")),
)

#: A concrete adapter is named only by its own package and by its composition roots.
ADAPTERS: Mapping[str, tuple[str, ...]] = {
    "appliance.capture.simulated": ("appliance.kit",),
    "appliance.capture.file": ("appliance.kit",),
    "appliance.capture.microphone": ("appliance.kit",),
    "appliance.capture.picamera": ("appliance.kit",),
    "appliance.hw.simulated": ("appliance.panels",),
    "appliance.hw.gpio": ("appliance.panels",),
    "appliance.stream": ("appliance.kit", "appliance.relay_link"),
    "relay.engines.embedded": ("relay.app", "relay.engines.workers.process"),
    "relay.engines.workers": ("relay.app",),
    "relay.archive.local": ("relay.archive.places",),
    "relay.archive.bucket": ("relay.archive.places",),
}

#: Third-party code that is hard to replace: at most one module of each program knows it.
ONE_MODULE = (
    *("picamera2", "libcamera", "gpiozero", "lgpio", "gpiod", "pyaudio", "systemd"),
    *("aiortc", "aioice", "zeroconf", "OpenSSL", "pylibsrtp", "nacl", "obstore"),
)
#: Of these, what a laptop may lack, and what is slow to load, is imported inside the function that opens it.
INSIDE_A_FUNCTION = (
    *("picamera2", "libcamera", "gpiozero", "lgpio", "gpiod", "pyaudio", "systemd"),
    *("aiortc", "zeroconf", "obstore"),
)

#: Modules that know only the standard library and each other. ``numpy`` is the vocabulary of samples and pictures.
LEAVES: Mapping[str, tuple[str, ...]] = {
    "appliance.errors": (),
    "appliance.capture.clock": (),
    "appliance.hw.health": (),
    "appliance.hw.pins": (),
    "appliance.capture.base": ("numpy", "appliance.capture.clock"),
    "relay.errors": (),
    "relay.engines.base": (),
}
#: Pure: no task, thread, socket, file or clock either.
PURE: Mapping[str, tuple[str, ...]] = {
    "appliance.lesson": ("appliance.errors", "wire.messages"),
    "service.vitals": (),
    "relay.archive.boxes": (),
    "relay.archive.recording": ("wire.recording",),
    "relay.archive.playlist": ("relay.archive.recording",),
    "appliance.hw.contacts": (),
    "appliance.hw.patterns": ("appliance.lesson",),
    "appliance.hw.gpio.lights": ("appliance.hw.base", "appliance.hw.patterns"),
}
IMPURE_STDLIB = frozenset(
    {"asyncio", "threading", "multiprocessing", "socket", "subprocess", "os", "pathlib", "time", "signal", "logging"}
)


@dataclass(frozen=True, slots=True)
class Import:
    """One import: who imports what, and where. ``deferred``: not while the module is loaded."""

    module: str
    target: str
    line: int
    deferred: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


Sources = Mapping[str, str]


def within(module: str, package: str) -> bool:
    """Whether ``module`` is ``package`` or lies below it."""
    return module == package or module.startswith(f"{package}.")


@cache
def imports_of(module: str, source: str, *, is_package: bool = False) -> tuple[Import, ...]:
    """Every import in a module, inside functions and ``TYPE_CHECKING`` too; relative ones resolved."""
    return tuple(_imports_of(module, source, is_package=is_package))


def _imports_of(module: str, source: str, *, is_package: bool) -> Iterator[Import]:
    stack: list[tuple[ast.AST, bool]] = [(ast.parse(source), False)]
    while stack:
        node, deferred = stack.pop()
        stack += [(child, deferred or defers(node)) for child in ast.iter_child_nodes(node)]
        if isinstance(node, ast.Import):
            yield from (Import(module, alias.name, node.lineno, deferred) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            base = parts[: len(parts) - node.level + is_package] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            # "from a import b" may mean the module a.b: the longer name also lies within a.
            yield from (Import(module, f"{origin}.{alias.name}", node.lineno, deferred) for alias in node.names)


def defers(node: ast.AST) -> bool:
    """Whether what stands in this node is not run while the module is loaded."""
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def all_imports(sources: Sources) -> list[Import]:
    """Every import of every module."""
    packages = {name.rpartition(".")[0] for name in sources}
    return [found for name, text in sources.items() for found in imports_of(name, text, is_package=name in packages)]


def direction(sources: Sources) -> list[str]:
    """What is imported against the direction of DESIGN's layout."""
    return [
        str(found)
        for found in all_imports(sources)
        for who, what in FORBIDDEN
        if within(found.module, who) and any(within(found.target, package) for package in what)
    ]


def adapters(sources: Sources) -> list[str]:
    """Concrete adapters that are named outside their package and composition root."""
    return [
        str(found)
        for found in all_imports(sources)
        for adapter, roots in ADAPTERS.items()
        if within(found.target, adapter) and not within(found.module, adapter) and found.module not in roots
    ]


def one_module_each(sources: Sources) -> list[str]:
    """Hard-to-replace libraries that more than one module of a program imports."""
    found = []
    for program in PACKAGES:
        for library in ONE_MODULE:
            users = {i.module for i in all_imports(sources) if within(i.target, library) and within(i.module, program)}
            if len(users) > 1:
                found.append(f"{library} is imported by {', '.join(sorted(users))}")
    return found


def opened_where_imported(sources: Sources) -> list[str]:
    """Hardware libraries that are imported at a module's top, so that a laptop could not even import it."""
    return [
        str(found)
        for found in all_imports(sources)
        if not found.deferred and any(within(found.target, library) for library in INSIDE_A_FUNCTION)
    ]


def leaves(sources: Sources) -> list[str]:
    """What a leaf or a pure module imports beyond what it may."""
    found = []
    for item in all_imports(sources):
        allowed = {**LEAVES, **PURE}.get(item.module)
        if allowed is None or any(within(item.target, name) for name in allowed):
            continue
        top = item.target.partition(".")[0]
        impure = item.module in PURE and top in IMPURE_STDLIB
        if top not in sys.stdlib_module_names or impure:
            found.append(str(item))
    return found


def cycles(sources: Sources) -> list[str]:
    """Modules of ours that import each other in a circle while they are loaded."""
    edges: dict[str, set[str]] = {name: set() for name in sources}
    for item in all_imports(sources):
        target = next((name for name in (item.target, item.target.rpartition(".")[0]) if name in sources), None)
        if target is not None and target != item.module and not item.deferred:
            edges[item.module].add(target)
    finished: set[str] = set()
    found: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            found.append(" → ".join((*path[path.index(name) :], name)))
        elif name not in finished:
            for target in sorted(edges[name]):
                visit(target, (*path, name))
            finished.add(name)

    for name in sorted(edges):
        visit(name, ())
    return found


def empty_names(sources: Sources) -> list[str]:
    """Modules whose name does not say what they hold."""
    return [name for name in sources if EMPTY_NAMES & set(name.replace("_", ".").split("."))]


def sizes(sources: Sources) -> list[str]:
    """Files and functions that are too long to be read at a glance."""
    found = [f"{name}: {len(text.splitlines())} lines" for name, text in sources.items() if too_long(text)]
    for name, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    found.append(f"{name}.{node.name}: {length} lines")
    return found


def too_long(text: str) -> bool:
    """Whether a file is over the limit."""
    return len(text.splitlines()) > MAX_LINES


def docstrings(sources: Sources) -> list[str]:
    """Modules that do not say what they are."""
    return [name for name, text in sources.items() if not ast.get_docstring(ast.parse(text))]


def read(*packages: str) -> dict[str, str]:
    """The sources of whole packages, by dotted module name."""
    found = {}
    for path in (path for package in packages for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    assert found, "no source was read"
    return found


Rule = Callable[[Sources], list[str]]


@pytest.mark.parametrize(
    "rule",
    [direction, adapters, one_module_each, opened_where_imported, leaves, cycles, empty_names, sizes, docstrings],
)
def test_the_packages_keep(rule: Rule) -> None:
    assert rule(read(*PACKAGES)) == []


@pytest.mark.parametrize("rule", [empty_names, docstrings])
def test_what_stands_around_the_packages_keeps(rule: Rule) -> None:
    written = {
        name: text for name, text in read(*AROUND).items() if text.strip()
    }  # an empty __init__ has nothing to say
    assert rule(written) == []


@pytest.mark.parametrize("leaf", sorted({*LEAVES, *PURE, *ADAPTERS, *chain(*ADAPTERS.values())}))
def test_every_module_that_a_rule_names_exists(leaf: str) -> None:
    sources = read(*PACKAGES)
    assert any(within(name, leaf) for name in sources), f"a rule guards {leaf}, which is not there"


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (direction, "wire.messages", "from relay.errors import RelayError"),
        (direction, "config.strict_toml", "import wire.token"),
        (direction, "service.watch", "from relay.app import running"),
        (direction, "appliance.stream.whip", "def f():\n    from relay import settings"),
        (direction, "relay.app", "import appliance.settings as s"),
        (direction, "relay.app", "from tests import running"),
        (direction, "relay.engines.embedded.srtp", "import av"),
        (direction, "relay.classroom.lessons", "from aiohttp import web"),
        (direction, "relay.classroom.lessons", "from ..store import models"),
        (direction, "relay.classroom.lessons", "from relay.engines import embedded"),
        (adapters, "appliance.cli", "from appliance.capture.simulated import camera"),
        (adapters, "appliance.supervise", "from appliance.capture import file"),
        (adapters, "relay.web.whep", "from relay.engines.embedded.engine import EmbeddedEngine"),
        (opened_where_imported, "appliance.capture.picamera", "from picamera2 import Picamera2"),
        (leaves, "relay.engines.base", "import aiohttp"),
        (leaves, "appliance.capture.base", "from appliance.settings import CameraSection"),
        (leaves, "appliance.lesson", "import asyncio"),
        (leaves, "appliance.lesson", "from appliance.hw import panel"),
        (empty_names, "relay.web.utils", ""),
        (empty_names, "appliance.camera_manager", ""),
        (sizes, "relay.web.long", "x = 1\n" * (MAX_LINES + 1)),
        (sizes, "relay.web.long", "def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES),
        (docstrings, "relay.web.silent", "x = 1"),
    ],
)
def test_a_module_that_breaks_a_rule_is_found(rule: Rule, module: str, source: str) -> None:
    assert rule({module: source})


def test_a_second_module_that_imports_aiortc_is_found() -> None:
    assert one_module_each({"appliance.stream.peer": "import aiortc"}) == []
    assert one_module_each({"appliance.stream.peer": "import aiortc", "appliance.kit": "from aiortc import sdp"})


def test_a_circle_of_imports_is_found() -> None:
    there = {"relay.a": "from relay.b import x", "relay.b": "def f():\n    from relay.a import y"}
    assert cycles(there) == []
    assert cycles({**there, "relay.b": "from relay.a import y"}) == ["relay.a → relay.b → relay.a"]


@pytest.mark.parametrize("where", ["def f():", "if TYPE_CHECKING:"])
def test_hardware_that_is_imported_where_it_is_opened_is_fine(where: str) -> None:
    assert opened_where_imported({"appliance.capture.picamera": f"{where}\n    import picamera2"}) == []
