"""Picture–voice skew at the pupil, measured in two ways that do not share an assumption.

*By ear and eye*: the simulated voice begins a syllable exactly on each second of the lesson clock. What the browser
plays (the track's samples as they leave its jitter buffer) is searched for those onsets, and the time code of the
picture on display at that moment is read. Web Audio is no instrument for this: it was 50 ms late here, always.

*By the browser's own account*: ``estimatedPlayoutTimestamp`` of both streams (W3C webrtc-stats), which includes the
sound device's delay, and rests on our sender reports.
"""

from __future__ import annotations

import asyncio
from typing import Any

from playwright.async_api import Browser

from bench.figures import Figure
from bench.live import SETTLE_S
from tests.browser.chromium import frames, pupil, until_new_frames
from tests.running import RunningSchool

LISTEN = """
async () => {
  const QUIET_S = 0.12;
  const LOUD = 0.02;
  const track = document.querySelector("video").srcObject.getAudioTracks()[0];
  const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
  globalThis.onsets = [];
  let quiet = 0;
  const listen = async () => {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const now = performance.now();
      const samples = new Float32Array(value.numberOfFrames);
      const rate = value.sampleRate;
      value.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
      value.close();
      samples.forEach((sample, i) => {
        if (Math.abs(sample) < LOUD) {
          quiet += 1;
          return;
        }
        if (quiet > QUIET_S * rate) onsets.push(now + (i / rate) * 1000);
        quiet = 0;
      });
    }
  };
  void listen();
}
"""

ACCOUNT = """
async () => {
  const [picture, voice] = [await lessonProbe.inbound("video"), await lessonProbe.inbound("audio")];
  return picture.estimatedPlayoutTimestamp - voice.estimatedPlayoutTimestamp;
}
"""


async def picture_voice_skew(school: RunningSchool, browser: Browser, length_s: float) -> list[Figure]:
    """How far picture and voice are apart, as absolute values (ms), once the browser has settled."""
    page = await pupil(browser, school.class_url)
    await until_new_frames(page, 10)
    await page.get_by_role("button", name="Включить звук").first.click()
    await asyncio.sleep(SETTLE_S)
    await page.evaluate(LISTEN)
    accounts = []
    for _ in range(max(1, round(length_s))):
        await asyncio.sleep(1)
        accounts.append(abs(float(await page.evaluate(ACCOUNT))))
    onsets: list[float] = await page.evaluate("onsets")
    shown = [picture for picture in await frames(page) if picture["capture_us"] is not None]
    heard = [abs(skew) for onset in onsets if (skew := skew_ms(onset, shown)) is not None]
    await page.context.close()
    return [
        Figure("picture–voice skew, by ear and eye", "ms", tuple(heard), median_at_most=40),
        Figure("picture–voice skew, by the browser's account", "ms", tuple(accounts), median_at_most=40),
    ]


def skew_ms(onset_ms: float, shown: list[dict[str, Any]]) -> float | None:
    """Picture's lesson time minus voice's at ``onset_ms`` (the page's clock); positive: the voice is late.

    Onsets that are not near a whole second of the time code belong to other syllables and give ``None``.
    """
    earlier = [picture for picture in shown if picture["shown_ms"] <= onset_ms]
    if not earlier:
        return None
    picture = earlier[-1]
    lesson_ms = picture["capture_us"] / 1000 + (onset_ms - picture["shown_ms"])
    skew = (lesson_ms + 500) % 1000 - 500
    return float(skew) if abs(skew) < 200 else None
