/** When a page asks the relay how much of the picture it is sent, and how long it makes picture and voice wait for repairs. */

import assert from "node:assert/strict";
import test from "node:test";

import { Cushion } from "../../relay/web/pages/static/cushion.js";
import { isChoice, PictureDoubt, readPicture } from "../../relay/web/pages/static/picture.js";

/** @typedef {import("../../relay/web/pages/static/picture.js").Sent} Sent */

/**
 * In which seconds a page asks that sees so many new frames in each, and believes that `sent` is what it gets.
 * @param {Sent} sent
 * @param {number[]} frames
 */
function asks(sent, frames) {
  const doubt = new PictureDoubt();
  return frames.flatMap((newFrames, second) => (doubt.observe({ now_ms: 1000 * second, sent, newFrames }) ? [second] : []));
}

test("nobody asks whose picture runs, not even at the kit's lowest rate", () => {
  assert.deepEqual(asks("full", [0, 5, 30, 28, 5, 5, 5]), []);
});

test("a picture that stops is asked about within a second, one that thins out within two, each second while it is so", () => {
  assert.deepEqual(asks("full", [30, 30, 1, 0, 1, 30, 30]), [2, 3, 4]);
  assert.deepEqual(asks("full", [30, 30, 2, 1, 1, 30, 30]), [3, 4]);
});

test("a line that narrows is asked about before the picture shows it, for as long as the relay may take to see it", () => {
  const doubt = new PictureDoubt();
  const line_kbps = [2000, 2100, 800, 300, 230, 230, 230, 0, 0];
  const asked = line_kbps.map((kbps, second) =>
    doubt.observe({ now_ms: 1000 * second, sent: "full", newFrames: 30, line_bps: 1000 * kbps }),
  );
  assert.deepEqual(asked, [false, false, true, true, true, true, false, false, false]);
});

test("nobody asks whose picture is slow and comes, and who gets none and wants none", () => {
  assert.deepEqual(asks("slow", [1, 0, 1, 0, 0, 0, 1, 0, 0, 1]), []);
  assert.deepEqual(asks("voice", [0, 0, 0, 0, 0, 0, 0, 0]), []);
});

test("a slow picture that runs, or stays away, is asked about", () => {
  assert.deepEqual(asks("slow", [1, 0, 1, 9, 30]), [3, 4]);
  assert.deepEqual(asks("slow", [1, 0, 0, 0, 0, 0, 0, 0]), [7]);
  assert.deepEqual(asks("voice", [0, 0, 1]), [2]);
});

test("the relay's answer is read, and what is not one is not believed", () => {
  assert.deepEqual(readPicture({ chosen: "auto", sent: "slow", more: 1 }), { chosen: "auto", sent: "slow" });
  for (const raw of [null, 7, {}, { chosen: "auto" }, { chosen: "auto", sent: "auto" }, { chosen: "some", sent: "full" }]) {
    assert.equal(readPicture(raw), null);
  }
  assert.deepEqual(["auto", "full", "slow", "voice", "", null].filter(isChoice), ["auto", "full", "slow", "voice"]);
});

/**
 * The delay after each second with so many requests in it.
 * @param {number[]} requests
 * @param {number} [roundTrip_ms]
 */
function delays(requests, roundTrip_ms = 100) {
  const cushion = new Cushion();
  return requests.map((count) => (cushion.observe(count, roundTrip_ms), cushion.delay_ms));
}

test("where nothing is lost nothing waits, and one loss is an accident", () => {
  assert.deepEqual(delays([0, 0, 0]), [0, 0, 0]);
  assert.deepEqual(delays([0, 3, 0, 0, 0, 0, 0]), [0, 0, 0, 0, 0, 0, 0]);
});

test("where packets are lost, picture and voice wait for two round trips of repair", () => {
  assert.deepEqual(delays([1, 4, 0, 2], 100).slice(1), [260, 260, 260]);
  assert.deepEqual(delays([1, 1], 20).at(-1), 100);
});

test("however long the way, a lesson stays live", () => {
  assert.equal(delays([5, 5, 5], 2000).at(-1), 700);
});

test("a round trip that trembles moves nothing", () => {
  const cushion = new Cushion();
  for (const roundTrip_ms of [100, 100, 110, 95, 120]) cushion.observe(1, roundTrip_ms);
  assert.equal(cushion.delay_ms, 260);
});

test("after a while without losses nothing waits any more", () => {
  assert.equal(delays([1, 1, ...Array(19).fill(0)]).at(-1), 260);
  assert.equal(delays([1, 1, ...Array(20).fill(0)]).at(-1), 0);
});
