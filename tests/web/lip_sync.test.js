import assert from "node:assert/strict";
import { test } from "node:test";

import { LipSync } from "../../relay/web/pages/static/lip_sync.js";

/**
 * A browser whose voice comes `late_ms` after the picture's own least delay of `least_ms`, seen once a second.
 * @param {{late_ms: number, least_ms: number, seconds: number}} what
 */
function settled({ late_ms, least_ms, seconds }) {
  const sync = new LipSync();
  let ahead_ms = late_ms;
  for (let second = 0; second < seconds; second += 1) {
    sync.observe(ahead_ms);
    ahead_ms = late_ms - Math.max(0, sync.delay_ms - least_ms);
  }
  return ahead_ms;
}

test("a picture that is ahead waits for its voice, and is in step within five seconds", () => {
  for (const late_ms of [20, 40, 65, 120, 300]) {
    assert.ok(Math.abs(settled({ late_ms, least_ms: 20, seconds: 5 })) <= 20, `${late_ms} ms`);
  }
});

test("it stays in step for a whole lesson", () => {
  assert.ok(Math.abs(settled({ late_ms: 65, least_ms: 20, seconds: 2700 })) < 12);
});

test("a skew that nobody sees changes nothing", () => {
  const sync = new LipSync();
  for (const ahead_ms of [9, -9, 0, 5]) sync.observe(ahead_ms);
  assert.equal(sync.delay_ms, 0);
});

test("a picture that is late is not made to wait", () => {
  const sync = new LipSync();
  sync.observe(50);
  sync.observe(-200);
  assert.equal(sync.delay_ms, 0);
});

test("a clock that was set is not taken for a skew", () => {
  const sync = new LipSync();
  sync.observe(3_600_000);
  assert.equal(sync.delay_ms, 0);
});

test("a picture never waits so long that it is not live", () => {
  const sync = new LipSync();
  for (let second = 0; second < 60; second += 1) sync.observe(900);
  assert.equal(sync.delay_ms, 400);
});
