"""Picture–voice skew at the pupil: the simulated voice begins a syllable exactly on each second of the time code.

What is compared is what leaves the browser: the moment a syllable's onset goes to the speaker (Web Audio, mapped to
the page's clock by ``getOutputTimestamp``) and the time code of the picture on display at that moment.
"""

from __future__ import annotations

import asyncio
from typing import Any

from playwright.async_api import Browser

from bench.figures import Figure
from tests.browser.chromium import frames, pupil, until_new_frames
from tests.running import RunningSchool

LISTENER = """
class OnsetListener extends AudioWorkletProcessor {
  constructor() { super(); this.quietSamples = 0; }
  process([[samples]]) {
    if (!samples) return true;
    let i = 0;
    for (const sample of samples) {
      if (Math.abs(sample) < 0.02) this.quietSamples += 1;
      else {
        if (this.quietSamples > 0.12 * sampleRate) this.port.postMessage(currentTime + i / sampleRate);
        this.quietSamples = 0;
      }
      i += 1;
    }
    return true;
  }
}
registerProcessor("onset-listener", OnsetListener);
"""

LISTEN = """
async (source) => {
  const audio = new AudioContext();
  await audio.resume();
  const module = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  await audio.audioWorklet.addModule(module);
  const listener = new AudioWorkletNode(audio, "onset-listener");
  globalThis.onsets = [];
  listener.port.onmessage = ({ data }) => {
    const { contextTime, performanceTime } = audio.getOutputTimestamp();
    onsets.push(performanceTime + (data - contextTime) * 1000);
  };
  const video = document.querySelector("video");
  audio.createMediaStreamSource(video.srcObject).connect(listener);
}
"""


async def picture_voice_skew(school: RunningSchool, browser: Browser, length_s: float) -> Figure:
    """How far picture and voice are apart, as absolute values (ms)."""
    page = await pupil(browser, school.class_url, bypass_csp=True)  # the listener's module is a blob
    await until_new_frames(page, 10)
    await page.get_by_role("button", name="Включить звук").first.click()
    await page.evaluate(LISTEN, LISTENER)
    await asyncio.sleep(length_s)
    onsets: list[float] = await page.evaluate("onsets")
    shown = [picture for picture in await frames(page) if picture["capture_us"] is not None]
    skews = [skew for onset in onsets if (skew := skew_ms(onset, shown)) is not None]
    await page.context.close()
    return Figure("picture–voice skew", "ms", tuple(abs(skew) for skew in skews), median_at_most=40)


def skew_ms(onset_ms: float, shown: list[dict[str, Any]]) -> float | None:
    """Picture's lesson time minus voice's at ``onset_ms`` (the page's clock); positive: the voice is late.

    Onsets that are not on a whole second of the time code belong to other syllables and give ``None``.
    """
    earlier = [picture for picture in shown if picture["shown_ms"] <= onset_ms]
    if not earlier:
        return None
    picture = earlier[-1]
    lesson_ms = picture["capture_us"] / 1000 + (onset_ms - picture["shown_ms"])
    skew = (lesson_ms + 500) % 1000 - 500
    return skew if abs(skew) < 200 else None
