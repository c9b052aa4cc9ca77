"""The emulation image is the Pi's, but for what image-build/emulation.toml lists."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from scripts.image.__main__ import write_plan
from scripts.image.emulation import Differences, layers_of, planned, read_differences, touched_elsewhere
from scripts.image.layer import PHASES, LayerWrong

LISTED = read_differences()


def changed(**fields: object) -> Differences:
    """The list, with other fields."""
    return msgspec.structs.replace(LISTED, **fields)


def test_packages_differ_by_the_list_and_by_nothing_else() -> None:
    layers = layers_of(LISTED)
    theirs = [package for layer in layers for package in layer.packages]
    ours = planned(layers, LISTED).packages
    assert {*theirs} - {*ours} == {*LISTED.without}
    assert {*ours} - {*theirs} == {*LISTED.packages}


def test_hooks_and_their_order_are_those_of_the_layers() -> None:
    layers = layers_of(LISTED)
    plan = planned(layers, LISTED)
    for phase in PHASES:
        assert list(plan.hooks[phase]) == [hook for layer in layers for hook in layer.hooks[phase]]


def test_settings_of_the_layers_differ_by_the_list_and_by_nothing_else() -> None:
    layers = layers_of(LISTED)
    theirs = {name: value for layer in layers for name, value in layer.variables.items()}
    ours = planned(layers, LISTED).variables
    assert ours.keys() == theirs.keys()
    differ = {name.removeprefix("IGconf_") for name in ours if ours[name] != theirs[name]}
    assert differ == {*LISTED.variables}


def test_the_kit_s_own_layer_is_one_of_them() -> None:
    assert "parta-kit" in LISTED.layers


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (changed(without=("no-such-package",)), "no-such-package"),
        (changed(packages=("systemd",)), "systemd"),
        (changed(variables={"image_size": "1"}), "image_size"),
    ],
)
def test_a_difference_from_what_is_not_there_is_refused(listed: Differences, said: str) -> None:
    with pytest.raises(LayerWrong, match=said):
        planned(layers_of(listed), listed)


def test_the_shell_is_given_the_hooks_that_the_plan_has(tmp_path: Path) -> None:
    write_plan(tmp_path)
    plan = planned(layers_of(LISTED), LISTED)
    assert (tmp_path / "packages").read_text().split(",") == list(plan.packages)
    for phase in PHASES:
        lines = (tmp_path / phase).read_text().splitlines()
        assert [line for line in lines[3:] if line] == list(plan.hooks[phase])


@pytest.mark.parametrize(
    ("after", "strays"),
    [
        (["/etc\td", "/etc/a\tf 1", "/opt\td", "/opt/machine\td", "/opt/machine/x\tf"], []),
        (["/etc\td", "/etc/a\tf 2"], ["/etc/a"]),
        (["/etc\td", "/etc/a\tf 1", "/etc/b\tf"], ["/etc/b"]),
        (["/etc\td", "/opt/machinery\tf", "/etc/a\tf 1"], ["/opt/machinery"]),
        (["/etc\td"], ["/etc/a"]),
    ],
)
def test_what_the_stand_ins_touch_beside_the_list_is_found(after: list[str], strays: list[str]) -> None:
    assert touched_elsewhere(["/etc\td", "/etc/a\tf 1"], after, ["/opt/machine"]) == strays
