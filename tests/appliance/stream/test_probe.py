"""The relay as the pre-flight checks ask it: what only shows while the kit around it runs."""

from __future__ import annotations

import threading

import aiohttp
import pytest

from appliance.errors import RelayUnreachable
from appliance.stream.bearer import StaticBearer
from appliance.stream.probe import HttpRelayProbe
from tests.running import free_port


async def test_a_trial_of_the_media_path_loads_aiortc_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setup page tries it in a kit that may be in a lesson."""
    loaders: list[threading.Thread] = []
    monkeypatch.setattr("appliance.stream.peer.load", lambda: loaders.append(threading.current_thread()))
    async with aiohttp.ClientSession() as http:
        probe = HttpRelayProbe(f"http://127.0.0.1:{free_port()}", StaticBearer("key"), http)
        with pytest.raises(RelayUnreachable):
            await probe.media_round_trip_ms()
    assert loaders
    assert threading.main_thread() not in loaders
