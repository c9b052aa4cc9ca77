/** Which source a pupil watches when. */

import assert from "node:assert/strict";
import test from "node:test";

import { Closeness, DELAY_S, DIRECT_FIRST_MS, hasCaughtUp, isDirectShut, lateOffer, meansLive } from "../../relay/web/pages/static/source.js";

/** @type {{events: "up", media: "down", mediaFailures: number}} */
const FAILED_ONCE = { events: "up", media: "down", mediaFailures: 1 };

test("where the direct way never was open, one failure tells; where it was, the next try may mend it", () => {
  assert.equal(isDirectShut(FAILED_ONCE, false, 0), true);
  assert.equal(isDirectShut(FAILED_ONCE, true, 0), false);
  assert.equal(isDirectShut({ ...FAILED_ONCE, mediaFailures: 2 }, true, 0), true);
});

test("where the direct way never was open, its first try is not waited for to its end", () => {
  const connecting = { events: /** @type {const} */ ("up"), media: /** @type {const} */ ("connecting"), mediaFailures: 0 };
  assert.equal(isDirectShut(connecting, false, DIRECT_FIRST_MS), true);
  assert.equal(isDirectShut(connecting, true, DIRECT_FIRST_MS), false);
});

test("a session that is up, or a relay out of reach, is no shut network", () => {
  assert.equal(isDirectShut({ ...FAILED_ONCE, media: "up" }, false, 9000), false);
  assert.equal(isDirectShut({ ...FAILED_ONCE, events: /** @type {const} */ ("down") }, false, 9000), false);
  assert.equal(isDirectShut({ ...FAILED_ONCE, media: "connecting", mediaFailures: 0 }, false, DIRECT_FIRST_MS - 1), false);
  assert.equal(isDirectShut({ ...FAILED_ONCE, media: "connecting" }, false, 0), true, "a later try that is under way");
});

test("only who plays faster catches up, and only at the end of what there is", () => {
  assert.equal(hasCaughtUp({ position_s: 99, end_s: 100, rate: 1.25 }), true);
  assert.equal(hasCaughtUp({ position_s: 95, end_s: 100, rate: 2 }), false);
  assert.equal(hasCaughtUp({ position_s: 99, end_s: 100, rate: 1 }), false);
});

test("who drags to the right end means live", () => {
  assert.equal(meansLive(100, 100), true);
  assert.equal(meansLive(98, 100), true);
  assert.equal(meansLive(90, 100), false);
});

/**
 * Watches a lesson whose segments of 2 s come each 2 s, `late_s` after their end.
 * @param {number} start_s  how far before the recording's end it begins
 * @param {number} [late_s]
 */
function watch(start_s, late_s = 1) {
  const closeness = new Closeness();
  let position_s = 100 - start_s;
  let rate = 1;
  let waits = 0;
  for (let passed_s = 0; passed_s < 60; passed_s += 0.25) {
    const end_s = 100 + 2 * Math.floor(passed_s / 2);
    position_s += 0.25 * rate;
    if (position_s > end_s) {
      position_s = end_s;
      waits += 1;
      closeness.onWait(position_s);
    }
    const advice = closeness.advise({ position_s, end_s });
    if (advice.seek_s !== null) position_s = advice.seek_s;
    rate = advice.rate;
  }
  // The lesson itself is the segment in the making, and the way here, ahead of the recording.
  return { behind_s: 100 + 60 + late_s - position_s, waits, rate };
}

test("delayed watching comes close to the lesson from wherever it began, and does not outrun it", () => {
  for (const start_s of [DELAY_S, 4, 6, 20]) {
    const { behind_s, waits, rate } = watch(start_s);
    assert.ok(behind_s <= 5, `from ${start_s} s: ${behind_s} s behind`);
    assert.equal(waits, 0, `from ${start_s} s`);
    assert.equal(rate, 1);
  }
});

test("each wait gives delayed watching more to spare, so that it does not wait for ever", () => {
  const { waits } = watch(0);
  assert.ok(waits >= 1 && waits <= 12, String(waits));
});

test("a player that chose a place too far back is brought forward, never back", () => {
  const closeness = new Closeness();
  assert.equal(closeness.begin({ position_s: 94, end_s: 100 }), 98);
  assert.equal(closeness.begin({ position_s: 99, end_s: 100 }), null);
  closeness.onWait(100);
  assert.equal(closeness.begin({ position_s: 94, end_s: 100 }), 98, "a wait in the first seconds says nothing");
  closeness.onWait(120);
  assert.equal(closeness.begin({ position_s: 94, end_s: 100 }), 97.5);
});

test("who comes late is offered the beginning, or the place where the same pupil stopped", () => {
  assert.equal(lateOffer(30, null), null);
  assert.equal(lateOffer(600, null), 0);
  assert.equal(lateOffer(600, 200), 200);
  assert.equal(lateOffer(600, 580), 0, "stopped just now");
});
