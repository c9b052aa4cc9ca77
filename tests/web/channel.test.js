/** The state channel's pure parts: parsing server-sent events, spacing out the retries, waiting. */

import assert from "node:assert/strict";
import test from "node:test";

import { Backoff } from "../../relay/web/pages/static/backoff.js";
import { Pause } from "../../relay/web/pages/static/pause.js";
import { SseParser } from "../../relay/web/pages/static/sse.js";

const STREAM = ': hello\n\nevent: state\ndata: {"a":\ndata: 1}\n\ndata: plain\r\n\r\nevent: nothing\n\nevent: state\rdata:x\r\r';
const EVENTS = [
  { name: "state", data: '{"a":\n1}' },
  { name: "message", data: "plain" },
  { name: "state", data: "x" },
];

test("events are read, comments and empty events are not", () => {
  assert.deepEqual(new SseParser().push(`${STREAM}:`), EVENTS);
});

test("it does not matter where the network cuts the stream", () => {
  for (let size = 1; size <= STREAM.length; size++) {
    const parser = new SseParser();
    const events = [];
    for (let at = 0; at < STREAM.length; at += size) events.push(...parser.push(STREAM.slice(at, at + size)));
    events.push(...parser.push(":"));
    assert.deepEqual(events, EVENTS, `pieces of ${size}`);
  }
});

test("an event that is not finished is not delivered", () => {
  const parser = new SseParser();
  assert.deepEqual(parser.push("event: state\ndata: half"), []);
  assert.deepEqual(parser.push("\n"), []);
  assert.deepEqual(parser.push("\n"), [{ name: "state", data: "half" }]);
});

test("retries start at a third of a second, double, and stay frequent while the outage is young", () => {
  const backoff = new Backoff(() => 0);
  const waits = Array.from({ length: 5 }, () => backoff.next());
  assert.deepEqual(waits, [300, 600, 1200, 1500, 1500]);
  assert.equal(backoff.failures, 5);
});

test("after about half a minute they come every five seconds", () => {
  const backoff = new Backoff(() => 0);
  const waits = Array.from({ length: 22 }, () => backoff.next());
  assert.deepEqual(waits.slice(18), [1500, 1500, 5000, 5000]);
  const young_ms = waits.slice(0, 20).reduce((sum, wait) => sum + wait, 0);
  assert.ok(young_ms > 20_000 && young_ms < 40_000, String(young_ms));
});

test("success starts the retries anew", () => {
  const backoff = new Backoff(() => 0);
  backoff.next();
  backoff.next();
  backoff.reset();
  assert.deepEqual([backoff.failures, backoff.next()], [0, 300]);
});

test("a class does not come back in one instant: waits are spread over half their length", () => {
  assert.equal(new Backoff(() => 0.999).next() < 151, true);
  assert.equal(new Backoff(() => 0.999).next() > 149, true);
});

test("a wait ends at once when it is cut, and by itself otherwise", async () => {
  const pause = new Pause();
  const cut = pause.wait(1_000_000);
  pause.cut();
  await cut;
  await pause.wait(1);
  pause.cut();
});
