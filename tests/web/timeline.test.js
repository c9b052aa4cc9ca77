/** The time line of a recording: its holes, its end, its digits. */

import assert from "node:assert/strict";
import test from "node:test";

import { digits, filled, gapsOf, isInGap, LiveEnd, missing_s, pastGap } from "../../relay/web/pages/static/timeline.js";

/** @type {import("../../relay/web/pages/static/lessons.js").Gap[]} */
const GAPS = [
  [10, 14],
  [30, 40],
];

test("neighbouring fragments that are not there are one hole, and others are holes of their own", () => {
  const fragments = [false, true, true, false, true].map((gap, place) => ({ start: 2 * place, duration: 2, gap }));
  assert.deepEqual(gapsOf(fragments), [
    [2, 6],
    [8, 10],
  ]);
  assert.deepEqual(gapsOf([{ start: 0, duration: 2, gap: false }]), []);
});

test("whoever comes to a hole, or lands in one, goes on behind it", () => {
  for (const position_s of [9.8, 10, 12, 13.9]) {
    const goal_s = pastGap(GAPS, position_s, 60);
    assert.ok(goal_s !== null && goal_s >= 14 && goal_s < 14.2, `${position_s} → ${goal_s}`);
  }
  for (const position_s of [0, 9, 14, 20, 45]) assert.equal(pastGap(GAPS, position_s, 60), null, String(position_s));
});

test("behind a hole at the end there is nothing to go to", () => {
  assert.equal(pastGap([[30, 40]], 35, 40), null);
  assert.equal(pastGap([[30, 40]], 29.9, 40), null);
});

test("a hole that shrank or went is told from one that only moved by a rounding", () => {
  assert.deepEqual(filled(GAPS, [[10.01, 14], [30, 40]]), []);
  assert.deepEqual(filled(GAPS, [[10, 14]]), [[30, 40]]);
  assert.deepEqual(filled(GAPS, [[10, 14], [30, 36]]), [[30, 40]]);
});

test("what lacks is counted, and where", () => {
  assert.equal(missing_s(GAPS), 14);
  assert.deepEqual([9.9, 10, 39.9, 40].map((position_s) => isInGap(GAPS, position_s)), [false, true, true, false]);
});

test("the end of a running lesson moves on between the relay's words, and stands while a curtain is closed", () => {
  const end = new LiveEnd();
  end.run(true, 0);
  assert.equal(end.at(5000), 0, "nothing is known yet");
  end.hear(60, 5000);
  assert.equal(end.at(9000), 64);
  end.hear(62, 9000); // the relay has what was sent 2 s ago
  assert.equal(end.at(10_000), 65);
  end.run(false, 10_000);
  assert.equal(end.at(60_000), 65);
  end.run(true, 60_000);
  assert.equal(end.at(61_000), 66);
});

test("the relay's word holds where ours is far off", () => {
  const end = new LiveEnd();
  end.run(true, 0);
  end.hear(600, 0);
  end.hear(300, 1000); // an outage that took no time in the recording
  assert.equal(end.at(1000), 300);
  end.hear(400, 2000);
  assert.equal(end.at(2000), 400);
  end.reset();
  assert.equal(end.at(3000), 0);
});

test("times are written as a player writes them", () => {
  const written = [-1, 0, 5.9, 65, 3599, 3600, 3725].map(digits);
  assert.deepEqual(written, ["0:00", "0:00", "0:05", "1:05", "59:59", "1:00:00", "1:02:05"]);
});
