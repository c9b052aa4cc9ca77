"""A browser as a publisher: WHIP from a web page, with what ``getUserMedia`` gives of Chromium's fake camera.

The page is of another origin than the relay, as a studio's page would be; so this also proves CORS. Chromium encodes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from playwright.async_api import Page

from tests.browser.chromium import chromium

FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
PUBLISH = """
async ([url, token, codecs]) => {
  const media = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360 }, audio: true });
  const peer = (globalThis.peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" }));
  for (const track of media.getTracks()) {
    const transceiver = peer.addTransceiver(track, { direction: "sendonly", streams: [media] });
    if (track.kind !== "video") continue;
    const known = RTCRtpSender.getCapabilities("video").codecs;
    transceiver.setCodecPreferences(known.filter((codec) => codecs.includes(codec.mimeType)));
  }
  await peer.setLocalDescription();
  const headers = { "Content-Type": "application/sdp", Authorization: `Bearer ${token}` };
  const response = await fetch(url, { method: "POST", headers, body: peer.localDescription.sdp });
  const text = await response.text();
  if (response.status !== 201) return { status: response.status, text };
  globalThis.resource = new URL(response.headers.get("Location"), response.url).href;
  await peer.setRemoteDescription({ type: "answer", sdp: text });
  await new Promise((resolve) => {
    const look = () => peer.connectionState === "connected" && resolve();
    peer.onconnectionstatechange = look;
    look();
  });
  return { status: response.status, etag: response.headers.get("ETag") };
}
"""
STOP = """
async (token) => {
  const response = await fetch(resource, { method: "DELETE", headers: { Authorization: `Bearer ${token}` } });
  peer.close();
  return response.status;
}
"""


@dataclass(frozen=True)
class BrowserPublisher:
    """The page. ``publish`` answers once media are connected, or with the relay's refusal."""

    page: Page

    async def publish(self, url: str, token: str, codec: str) -> dict[str, Any]:
        """Publish with this codec alone."""
        told: dict[str, Any] = await self.page.evaluate(PUBLISH, [url, token, [codec, "video/rtx"]])
        return told

    async def stop(self, token: str) -> int:
        """End the session; the status of the DELETE."""
        status: int = await self.page.evaluate(STOP, token)
        return status


@asynccontextmanager
async def browser_publisher() -> AsyncIterator[BrowserPublisher]:
    """A browser on a page of its own server."""
    app = web.Application()
    app.router.add_get("/", _page)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with chromium(*FAKE_CAMERA) as browser:
            page = await browser.new_page()
            await page.goto(f"http://127.0.0.1:{runner.addresses[0][1]}/")
            yield BrowserPublisher(page)
    finally:
        await runner.cleanup()


async def _page(_request: web.Request) -> web.Response:
    return web.Response(text="<!doctype html><title>studio</title>", content_type="text/html")
