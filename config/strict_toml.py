"""Strict TOML: a typo in a classroom camera's configuration is refused, never forgiven.

Reads a TOML file into a frozen ``msgspec`` struct. Used by ``appliance/settings.py`` and ``relay/settings.py``, which
hold the structs. Not here: what the keys mean.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class ConfigurationError(Exception):
    """A configuration that cannot be used. The text is one line: file, full key path, and the remedy."""


def load(path: Path, schema: type[T]) -> T:
    """Read the file at ``path``. Raises ``ConfigurationError``."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path}: no such file; give an existing one with --config") from error
    except IsADirectoryError as error:
        raise ConfigurationError(f"{path}: is a folder; give a file with --config") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    return parse(text, schema, origin=str(path))


def parse(text: str, schema: type[T], *, origin: str) -> T:
    """Read TOML ``text``; ``origin`` names it in errors. Raises ``ConfigurationError``."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{origin}: not valid TOML: {error}") from error
    return convert(table, schema, origin=origin)


def convert(table: Mapping[str, Any], schema: type[T], *, origin: str) -> T:
    """Read what was parsed already; ``origin`` names it in errors. Raises ``ConfigurationError``."""
    for key, known in _unknown_keys(table, schema, ""):
        near = difflib.get_close_matches(key.rpartition(".")[2], known, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"
        raise ConfigurationError(f"{origin}: {key}: unknown key; {advice}")
    try:
        return msgspec.convert(table, schema, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{origin}: {_readable(str(error))}") from error


def _unknown_keys(table: Mapping[str, Any], schema: type[Any], prefix: str) -> Iterator[tuple[str, list[str]]]:
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(schema)}
    for key, value in table.items():
        path = f"{prefix}{key}"
        if key not in fields:
            yield path, list(fields)
            continue
        inner = fields[key]
        if isinstance(value, Mapping) and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield from _unknown_keys(value, inner, f"{path}.")


def _readable(message: str) -> str:
    """``msgspec``'s "Expected `int`, got `str` - at `$.camera.fps`" as "camera.fps: expected int, got str"."""
    found = re.fullmatch(r"(?P<what>.*) - at `\$\.(?P<path>[^`]*)`", message, flags=re.DOTALL)
    what, path = (found["what"], f"{found['path']}: ") if found else (message, "")
    what = what.replace("`", "")
    return f"{path}{what[:1].lower()}{what[1:]}"
