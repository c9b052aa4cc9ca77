"""What ``parta-kit discover`` prints, and what the network may know of a kit.

Not here: the looking (``test_found_on_the_network.py``).
"""

from __future__ import annotations

import json

import pytest

from appliance.commands.discover import as_json, as_text
from appliance.discovery import Seen, coarse, kit_service, page_port
from appliance.settings import SetupSection
from wire.announcement import KIT_KIND, RELAY_KIND, KitAnnouncement, RelayAnnouncement
from wire.mdns import Service
from wire.messages import KitState

KIT = KitAnnouncement(kit_id="ab" * 16, room="Кабинет 7", version="0.1.0", state="lesson")
RELAY = RelayAnnouncement(url="https://parta.example", version="0.1.0")
KIT_NAME, RELAY_NAME = f"parta-kit-1.{KIT_KIND}", f"parta-relay-1.{RELAY_KIND}"


def _seen() -> Seen:
    seen = Seen()
    seen.changed(
        KIT_NAME, Service(kind=KIT_KIND, name="parta-kit-1", port=8090, txt=KIT.txt(), addresses=("10.0.0.7",))
    )
    seen.changed(RELAY_NAME, Service(kind=RELAY_KIND, name="parta-relay-1", port=80, txt=RELAY.txt()))
    return seen


def test_kits_are_an_aligned_table_and_relays_a_command_to_type() -> None:
    heading, row, *rest = as_text(_seen()).splitlines()
    assert heading.index("STATE") == row.index("lesson")
    assert heading.index("ADDRESS") == row.index("10.0.0.7:8090")
    assert "parta-kit enrol CODE --relay https://parta.example" in rest[-1]


def test_json_holds_the_same_for_scripts() -> None:
    told = json.loads(as_json(_seen()))
    assert told["kits"][0]["room"] == "Кабинет 7"
    assert told["relays"][0]["url"] == "https://parta.example"


def test_who_withdraws_is_gone() -> None:
    seen = _seen()
    seen.changed(KIT_NAME, None)
    seen.changed(RELAY_NAME, None)
    assert (seen.kits, seen.relays) == ({}, {})


def test_a_relay_without_an_address_is_not_offered() -> None:
    seen = Seen()
    seen.changed(RELAY_NAME, Service(kind=RELAY_KIND, name="x", port=80, txt={"url": "javascript:1"}))
    assert seen.relays == {}


def test_nobody_is_told_with_what_to_try() -> None:
    assert "on the kits' network?" in as_text(Seen())


@pytest.mark.parametrize(
    ("state", "enrolled", "told"),
    [
        ("idle", False, "new"),
        ("idle", True, "ready"),
        ("fault", True, "fault"),
        ("fault", False, "fault"),
        ("live", True, "lesson"),
        ("curtain", True, "lesson"),  # that the curtain is closed is nobody's business
        ("degraded", False, "lesson"),
    ],
)
def test_the_network_knows_a_kits_state_coarsely(state: KitState, enrolled: bool, told: str) -> None:
    assert coarse(state, enrolled=enrolled) == told


def test_a_page_that_only_this_machine_can_open_has_no_port() -> None:
    assert page_port(SetupSection()) == 8091
    assert page_port(SetupSection(host="127.0.0.1")) == 0
    assert page_port(SetupSection(enabled=False)) == 0


def test_a_kits_name_comes_from_its_key_alone() -> None:
    new = KitAnnouncement(kit_id="", room="", version="0.1.0", state="new")
    assert kit_service("key", KIT, 0).name == kit_service("key", new, 0).name != kit_service("other", new, 0).name
