"""Which way a relay is reached."""

from __future__ import annotations

import ipaddress

from appliance.stream.route import Route, route_to


async def test_a_relay_on_loopback_is_reached_from_loopback() -> None:
    assert await route_to("127.0.0.1", 8443) == Route(("127.0.0.1",), ("127.0.0.1",))


async def test_localhost_includes_the_address_that_media_may_listen_on_alone() -> None:
    route = await route_to("localhost", 8443)
    assert "127.0.0.1" in route.sources
    assert "127.0.0.1" in route.destinations


async def test_an_address_elsewhere_is_reached_from_no_loopback() -> None:
    for source in (await route_to("198.51.100.1", 8443)).sources:  # TEST-NET-2: routed or not, never answered
        assert not ipaddress.ip_address(source).is_loopback


async def test_a_host_that_nobody_knows_has_no_way_to_it() -> None:
    assert await route_to("relay.invalid", 8443) == Route()
