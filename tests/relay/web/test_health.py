"""Health, metrics and the log: true, and without secrets."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.relay.web.recording_engine import OFFER
from tests.relay.web.served import Served, TokenKit


async def test_a_relay_that_serves_says_so(relay: Served) -> None:
    for path in ("/healthz", "/readyz"):
        async with relay.http.get(relay.url + path) as response:
            assert response.status == 200


async def test_a_relay_whose_database_is_gone_is_up_but_not_ready_and_pupils_are_still_let_in(
    relay: Served, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "relay.sqlite3", isolation_level=None) as raw:
        raw.execute("ALTER TABLE relay RENAME TO mislaid")
    raw.close()
    async with relay.http.get(f"{relay.url}/readyz") as response:
        assert response.status == 503
        assert "no such table" in (await response.json())["database"]
    async with relay.http.get(f"{relay.url}/healthz") as response:
        assert response.status == 200
    headers = {"Content-Type": "application/sdp"}
    async with relay.http.post(f"{relay.url}/whep/{relay.link}", data=OFFER, headers=headers) as response:
        assert response.status == 201
    metrics = await relay.text("/metrics")
    assert 'parta_store_failures_total{what="read"} 0.0' not in metrics
    assert 'parta_store_failures_total{what="read"}' in metrics


async def test_metrics_can_be_read_and_hold_the_engines_figures(relay: Served) -> None:
    text = await relay.text("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["parta_media_packets_sent"].type == "counter"
    assert families["parta_media_packets_sent"].samples[0].value == 7
    assert families["parta_media_sessions"].type == "gauge"
    assert "process_cpu_seconds" in families


async def test_neither_log_nor_metrics_hold_a_link_a_name_or_a_token(
    relay: Served, kit: TokenKit, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = kit.bearer("POST", "/whip") | {"Content-Type": "application/sdp"}
    async with relay.http.post(f"{relay.url}/whip", data=OFFER, headers=headers) as response:
        session = response.headers["Location"].rpartition("/")[2]
    for path in (f"/c/{relay.link}", f"/c/{relay.link}/nothing", f"/{relay.link}", "/c/" + "A" * 22):
        await relay.text(path)
    metrics = await relay.text("/metrics")
    told = [record.getMessage() for record in caplog.records if record.name.startswith(("aiohttp", "relay"))]
    assert any("GET /c/{link} 200" in line for line in told), told
    assert 'route="/c/{link}"' in metrics
    for secret in (relay.link, "A" * 22, headers["Authorization"][7:], session):
        assert not [line for line in told if secret in line]
        assert secret not in metrics
    assert "7Б" not in metrics
