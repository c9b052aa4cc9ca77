"""Strict TOML: whatever is written, it is either read exactly or refused by its full path, in one line."""

from __future__ import annotations

import difflib
import json
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from appliance.settings import KitSettings
from config.strict_toml import ConfigurationError, load, parse
from relay.settings import RelaySettings

Schema = type[KitSettings] | type[RelaySettings]
_SCHEMAS = st.sampled_from([KitSettings, RelaySettings])
_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)


def _section_of(schema: Schema) -> st.SearchStrategy[str]:
    return st.sampled_from([field.name for field in msgspec.structs.fields(schema)])


def _as_toml(settings: msgspec.Struct) -> str:
    return "\n".join(
        line for section, values in msgspec.to_builtins(settings).items() for line in _table(section, values)
    )


def _table(name: str, values: dict[str, Any]) -> Iterator[str]:
    # Scalars and lists are written alike in JSON and TOML, where text has no control characters.
    yield f"[{name}]"
    inner = {key: value for key, value in values.items() if isinstance(value, dict)}
    yield from (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items() if key not in inner)
    for key, value in inner.items():
        yield from _table(f"{name}.{key}", value)


def _value(field_type: Any) -> st.SearchStrategy[Any]:
    """Any value that a field's type and bounds admit."""
    kind = field_type if isinstance(field_type, msgspec.inspect.Type) else msgspec.inspect.type_info(field_type)
    match kind:
        case msgspec.inspect.LiteralType(values=values):
            return st.sampled_from(list(values))
        case msgspec.inspect.IntType(ge=low, le=high, multiple_of=step):
            step, low, high = step or 1, low or 0, high or 10**6
            return st.integers(-(-low // step), high // step).map(lambda n: n * step)
        case msgspec.inspect.FloatType(ge=low, le=high):
            return st.floats(low, high)
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.StrType():
            return _TEXT
        case msgspec.inspect.VarTupleType():
            return st.lists(_TEXT, max_size=3).map(tuple)
        case msgspec.inspect.TupleType(item_types=items):
            return st.tuples(*map(_value, items))
        case msgspec.inspect.StructType(cls=cls):
            return st.builds(cls, **{field.name: _value(field.type) for field in msgspec.structs.fields(cls)})
    raise AssertionError(f"the settings have grown a type that this test cannot draw: {kind}")


@st.composite
def _settings(draw: st.DrawFn) -> KitSettings | RelaySettings:
    schema: Any = draw(_SCHEMAS)
    sections = {
        outer.name: outer.type(**{inner.name: draw(_value(inner.type)) for inner in msgspec.structs.fields(outer.type)})
        for outer in msgspec.structs.fields(schema)
    }
    made: KitSettings | RelaySettings = schema(**sections)
    return made


@given(_settings())
def test_any_valid_settings_are_read_back_as_they_were_written(settings: KitSettings | RelaySettings) -> None:
    assert parse(_as_toml(settings), type(settings), origin="x.toml") == settings


_KEYS = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=20)


@given(st.data(), _SCHEMAS, _KEYS)
def test_any_unknown_key_is_refused_with_its_full_path(data: st.DataObject, schema: Schema, key: str) -> None:
    section = data.draw(_section_of(schema))
    known = [field.name for field in msgspec.structs.fields(getattr(schema(), section))]
    assume(key not in known)
    with pytest.raises(ConfigurationError) as caught:
        parse(f"[{section}]\n{key} = 1\n", schema, origin="x.toml")
    told = str(caught.value)
    assert told.startswith(f"x.toml: {section}.{key}: unknown key; ")
    assert "\n" not in told
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    assert f"did you mean {near[0]}?" in told if near else all(name in told for name in known)


@given(_SCHEMAS, _KEYS)
def test_any_unknown_section_is_refused(schema: Schema, section: str) -> None:
    assume(section not in schema.__struct_fields__)
    with pytest.raises(ConfigurationError, match="unknown key"):
        parse(f"[{section}]\n", schema, origin="x.toml")


@given(st.data(), _SCHEMAS)
def test_a_typo_gets_the_right_name_back(data: st.DataObject, schema: Schema) -> None:
    section = data.draw(_section_of(schema))
    known = [field.name for field in msgspec.structs.fields(getattr(schema(), section))]
    name = data.draw(st.sampled_from(known))
    at = data.draw(st.integers(0, len(name) - 1))
    typo = name[:at] + name[at] + name[at:]  # a key that bounced
    assume(typo not in known)
    with pytest.raises(ConfigurationError, match=rf"{section}\.{typo}: unknown key; did you mean {name}\?"):
        parse(f"[{section}]\n{typo} = 1\n", schema, origin="x.toml")


@given(st.text())
def test_any_text_is_settings_or_one_line(text: str) -> None:
    try:
        parse(text, KitSettings, origin="x.toml")
    except ConfigurationError as error:
        assert str(error).startswith("x.toml: ")  # noqa: PT017 - either outcome is right


def test_a_section_that_is_a_value_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"x\.toml: camera: expected object, got int"):
        parse("camera = 3", KitSettings, origin="x.toml")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# \xe9\n")
    for path, told in (
        (tmp_path / "none.toml", "no such file; give an existing one with --config"),
        (tmp_path, "is a folder; give a file with --config"),
        (latin, "not UTF-8 text; save it as UTF-8"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            load(path, KitSettings)
        assert str(caught.value) == f"{path}: {told}"
