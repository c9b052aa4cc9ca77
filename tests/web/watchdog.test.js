/** When a media session that claims to be alive is given up, and when it must not be. */

import assert from "node:assert/strict";
import test from "node:test";

import {
  DOUBT_MS,
  SILENCE_MS,
  STALL_MS,
  UNDECODED_MS,
  Watchdog,
} from "../../relay/web/pages/static/watchdog.js";

/** Bytes of video and pictures that a healthy second brings. */
const SECOND = { bytes: 210_000, videoBytes: 200_000, frames: 30 };

/** A session that is looked at once a second. */
class Looked {
  now_ms = 0;
  totals = { bytes: 0, videoBytes: 0, frames: 0 };
  watchdog = new Watchdog(0);

  /**
   * One second later.
   * @param {Partial<typeof SECOND>} brought
   * @param {{expected?: boolean, visible?: boolean, sparse?: boolean}} [circumstances]
   */
  second(brought, { expected = true, visible = true, sparse = false } = {}) {
    this.now_ms += 1000;
    const { bytes, videoBytes, frames } = this.totals;
    this.totals = {
      bytes: bytes + (brought.bytes ?? 0),
      videoBytes: videoBytes + (brought.videoBytes ?? 0),
      frames: frames + (brought.frames ?? 0),
    };
    return this.watchdog.observe({ now_ms: this.now_ms, expected, visible, sparse, totals: this.totals });
  }

  /**
   * How many seconds like this one it takes until the session is called dead; 60 is "never".
   * @param {Partial<typeof SECOND>} brought
   * @param {{expected?: boolean, visible?: boolean, sparse?: boolean}} [circumstances]
   */
  secondsToDeath(brought, circumstances) {
    for (let seconds = 1; seconds < 60; seconds++) {
      if (this.second(brought, circumstances).verdict === "dead") return seconds;
    }
    return 60;
  }
}

test("a healthy session is left alone", () => {
  assert.equal(new Looked().secondsToDeath(SECOND), 60);
});

test("silence while the server says live is death, soon", () => {
  const looked = new Looked();
  looked.second(SECOND);
  assert.equal(looked.secondsToDeath({}), Math.floor(SILENCE_MS / 1000) + 1);
});

test("a session that never brought anything is silent from its first second", () => {
  assert.equal(new Looked().secondsToDeath({}), Math.floor(SILENCE_MS / 1000) + 1);
});

test("a waiting room is silent for as long as it likes, and counts from the lesson's start", () => {
  const looked = new Looked();
  assert.equal(looked.secondsToDeath({}, { expected: false }), 60);
  assert.equal(looked.secondsToDeath({}), Math.floor(SILENCE_MS / 1000) + 1);
});

test("a session in doubt must prove itself, lesson or not", () => {
  for (const expected of [true, false]) {
    const looked = new Looked();
    looked.second({}, { expected });
    looked.watchdog.doubt(looked.now_ms);
    assert.equal(looked.secondsToDeath({}, { expected }), Math.floor(DOUBT_MS / 1000) + 1);
  }
});

test("bytes that come after the doubt are the proof", () => {
  const looked = new Looked();
  looked.watchdog.doubt(0);
  looked.second({ bytes: 100 });
  assert.equal(looked.secondsToDeath({ bytes: 100 }), 60);
});

test("video that is never decoded is death, later: the relay first gets time for a key frame", () => {
  const looked = new Looked();
  looked.second(SECOND);
  assert.equal(looked.secondsToDeath({ bytes: 9000, videoBytes: 8000 }), Math.floor(UNDECODED_MS / 1000) + 1);
});

test("a hidden page may stop decoding, and is not punished for it", () => {
  const looked = new Looked();
  looked.second(SECOND);
  assert.equal(looked.secondsToDeath({ bytes: 9000, videoBytes: 8000 }, { visible: false }), 60);
});

test("a camera that goes away while the voice stays is no reason to hang up", () => {
  const looked = new Looked();
  looked.second(SECOND);
  assert.equal(looked.secondsToDeath({ bytes: 3000 }), 60);
});

test("a picture that stands still is told, and one that moves again too", () => {
  const looked = new Looked();
  looked.second(SECOND);
  assert.equal(looked.second({ bytes: 3000 }).stalled, STALL_MS < 1000);
  assert.equal(looked.second({ bytes: 3000 }).stalled, true);
  assert.equal(looked.second(SECOND).stalled, false);
});

test("sound without any picture is told as such, until the first picture", () => {
  const looked = new Looked();
  looked.second({ bytes: 3000 });
  assert.equal(looked.second({ bytes: 3000 }).voiceOnly, true);
  assert.equal(looked.second(SECOND).voiceOnly, false);
});

test("where pictures are rare, one that takes long to arrive is no reason to hang up, but not for ever", () => {
  const looked = new Looked();
  looked.second(SECOND);
  const seconds = looked.secondsToDeath({ bytes: 30_000, videoBytes: 25_000 }, { sparse: true });
  assert.ok(seconds > 15 && seconds < 30);
});
