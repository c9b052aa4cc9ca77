/** The relay's list of recordings as the page reads it, and where a pupil stopped in them. */

import assert from "node:assert/strict";
import test from "node:test";

import { readLessons } from "../../relay/web/pages/static/lessons.js";
import { noted, readStops, stopAt, stoppedAt } from "../../relay/web/pages/static/resume.js";

test("the list is read as docs/protocol.md writes it", () => {
  const text = `{"lessons": [{"id": "ab", "started_unix_ms": 5, "duration_ms": 2700042, "live": false, "complete": true,
    "thumbnail": "/c/x/lessons/ab/board.jpg", "playlist": "/c/x/lessons/ab/index.m3u8",
    "download": "/c/x/lessons/ab/lesson.mp4", "gaps": [[14000, 18000]], "later": 1}]}`;
  assert.deepEqual(readLessons(text), [
    {
      id: "ab",
      started_unix_ms: 5,
      duration_s: 2700.042,
      live: false,
      complete: true,
      thumbnail: "/c/x/lessons/ab/board.jpg",
      playlist: "/c/x/lessons/ab/index.m3u8",
      download: "/c/x/lessons/ab/lesson.mp4",
      gaps: [[14, 18]],
    },
  ]);
});

test("what is no list is none, and a lesson that makes no sense is left out", () => {
  for (const text of ["", "<html>", "null", "{}", '{"lessons": 4}']) assert.equal(readLessons(text), null, text);
  const odd = `{"lessons": [null, {"id": 4}, {"id": "a", "playlist": "p", "download": "d", "started_unix_ms": 1, "duration_ms": -1},
    {"id": "b", "playlist": "p", "download": "d", "started_unix_ms": 1, "duration_ms": 1000, "gaps": [[5, 4], "x", [1, 2]]}]}`;
  const read = readLessons(odd);
  assert.deepEqual(read?.map(({ id }) => id), ["b"]);
  assert.deepEqual(read?.[0]?.gaps, [[0.001, 0.002]]);
});

test("the newest stop of each lesson is kept, whole seconds of it", () => {
  const stops = noted(noted([], "a", 100.7, 2700), "b", 50, 2700);
  assert.deepEqual(stops, [
    ["b", 50],
    ["a", 100],
  ]);
  assert.deepEqual(noted(stops, "a", 200, 2700)[0], ["a", 200]);
  assert.deepEqual(readStops(JSON.stringify(stops)), stops);
});

test("who hardly began, or saw it to the end, begins anew", () => {
  const stops = noted([], "a", 100, 2700);
  assert.deepEqual(noted(stops, "a", 3, 2700), []);
  assert.deepEqual(noted(stops, "a", 2695, 2700), []);
});

test("no more is kept than a term needs, and nonsense is nothing", () => {
  /** @type {import("../../relay/web/pages/static/resume.js").Stop[]} */
  let stops = [];
  for (let lesson = 0; lesson < 500; lesson += 1) stops = noted(stops, String(lesson), 100, 2700);
  assert.ok(stops.length < 100);
  assert.equal(stops[0]?.[0], "499");
  for (const text of [null, "", "{", "{}", "7", '[["a", "b"], 4, ["c", -1]]']) assert.deepEqual(readStops(text), []);
});

test("a browser that keeps nothing does no harm", () => {
  Object.defineProperty(globalThis, "localStorage", {
    configurable: true,
    get() {
      throw new DOMException("denied", "SecurityError");
    },
  });
  stopAt("a", 100, 2700);
  assert.equal(stoppedAt("a"), null);
});
