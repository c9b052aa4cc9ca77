"""From where a relay is reached."""

from __future__ import annotations

import ipaddress

from appliance.stream.route import source_addresses


async def test_a_relay_on_loopback_is_reached_from_loopback() -> None:
    assert await source_addresses("127.0.0.1", 8443) == ("127.0.0.1",)


async def test_localhost_includes_the_address_that_media_may_listen_on_alone() -> None:
    assert "127.0.0.1" in await source_addresses("localhost", 8443)


async def test_an_address_elsewhere_is_reached_from_no_loopback() -> None:
    for source in await source_addresses("198.51.100.1", 8443):  # TEST-NET-2: routed or not, never answered
        assert not ipaddress.ip_address(source).is_loopback


async def test_a_host_that_nobody_knows_has_no_way_to_it() -> None:
    assert await source_addresses("relay.invalid", 8443) == ()
