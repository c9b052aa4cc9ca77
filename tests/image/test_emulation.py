"""The emulation image is the Pi's, but for what image-build/emulation.toml lists."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from scripts.image.__main__ import write_plan
from scripts.image.emulation import USUAL, Differences, layers_of, planned, read_differences, touched_elsewhere
from scripts.image.imager import FAMILIES
from scripts.image.layer import PHASES, LayerWrong

LISTED = read_differences()
OTHER = "arm64"


def changed(**fields: object) -> Differences:
    """The list, with other fields."""
    return msgspec.structs.replace(LISTED, **fields)


@pytest.fixture(params=[USUAL, OTHER])
def listed(request: pytest.FixtureRequest) -> Differences:
    """The list, for each processor."""
    return read_differences(request.param)


def test_packages_differ_by_the_list_and_by_nothing_else(listed: Differences) -> None:
    layers = layers_of(listed)
    theirs = [package for layer in layers for package in layer.packages]
    ours = planned(layers, listed).packages
    assert {*theirs} - {*ours} == {*listed.without}
    assert {*ours} - {*theirs} == {*listed.packages}


def test_hooks_and_their_order_are_those_of_the_layers(listed: Differences) -> None:
    layers = layers_of(listed)
    plan = planned(layers, listed)
    for phase in PHASES:
        assert list(plan.hooks[phase]) == [hook for layer in layers for hook in layer.hooks[phase]]


def test_settings_of_the_layers_differ_by_the_list_and_by_nothing_else(listed: Differences) -> None:
    layers = layers_of(listed)
    theirs = {name: value for layer in layers for name, value in layer.variables.items()}
    ours = planned(layers, listed).variables
    assert ours.keys() == theirs.keys()
    differ = {name.removeprefix("IGconf_") for name in ours if ours[name] != theirs[name]}
    assert differ == {*listed.variables}


def test_two_processors_have_one_image_but_for_the_kernel_its_console_and_whose_updates_it_takes() -> None:
    one, other = (planned(layers_of(each), each) for each in (LISTED, read_differences(OTHER)))
    assert {*one.packages} ^ {*other.packages} == {f"linux-image-{name}" for name in (USUAL, OTHER)}
    assert one.hooks == other.hooks
    differ = {name for name in one.variables if one.variables[name] != other.variables[name]}
    assert differ == {"IGconf_image_cmdline", "IGconf_partaslots_compatible"}


def test_an_update_is_for_one_processor_and_imager_tells_their_images_apart() -> None:
    own = [read_differences(name).own for name in (USUAL, OTHER)]
    assert [each.variables["partaslots_compatible"] for each in own] == [f"parta-kit-{each.family}" for each in own]
    assert len({FAMILIES[each.family][0] for each in own}) == len(own)


def test_a_processor_that_is_not_listed_is_told_with_those_that_are() -> None:
    with pytest.raises(LayerWrong, match=r"riscv64 is no architecture of emulation.toml; known: amd64 arm64"):
        read_differences("riscv64")


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


@pytest.mark.parametrize("architecture", [USUAL, OTHER])
def test_the_shell_is_given_what_the_plan_has(tmp_path: Path, architecture: str) -> None:
    write_plan(tmp_path, architecture)
    listed = read_differences(architecture)
    plan = planned(layers_of(listed), listed)
    assert (tmp_path / "packages").read_text().split(",") == list(plan.packages)
    for phase in PHASES:
        lines = (tmp_path / phase).read_text().splitlines()
        assert [line for line in lines[3:] if line] == list(plan.hooks[phase])
    words = 'printf "%s\\n" "$FAMILY" "$WHEELS" "$EMULATOR_PACKAGES" "${EMULATOR[@]}" "${BUILDS_LGPIO_WITH[@]}"'
    said = subprocess.check_output(["bash", "-c", f". ./target; {words}"], cwd=tmp_path, text=True)
    own = listed.own
    assert said.splitlines() == [own.family, own.wheels, ",".join(own.tools), *own.machine, *own.builds_lgpio]
    assert f"src:linux-signed-{architecture} " in (tmp_path / "kernel.pref").read_text()


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
