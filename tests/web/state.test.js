/** What a pupil is told, as a function of what the server said and of what this browser sees. */

import assert from "node:assert/strict";
import test from "node:test";

import { expectsMedia, readClassState, reduce, UNKNOWN, view } from "../../relay/web/pages/static/state.js";

/** @typedef {import("../../relay/web/pages/static/state.js").Happening} Happening */
/** @typedef {import("../../relay/web/pages/static/state.js").ServerState} ServerState */

const LESSON = { id: "1".repeat(32), started_unix_ms: 1_000, ended_unix_ms: null };

/**
 * @param {ServerState} state
 * @param {string} [id]
 * @returns {Happening}
 */
function says(state, id = LESSON.id) {
  const lesson = state === "waiting" ? null : { ...LESSON, id };
  return { type: "class", school: { state, lesson, viewers: 1, stills: [], sound_warning: null, recording: null } };
}

/** @type {Happening} */
const PICTURE = { type: "picture" };
/** @type {Happening[]} */
const CONNECTED = [
  { type: "events", status: "up", failures: 0 },
  { type: "media", status: "up", failures: 0 },
];

/** @param {Happening[]} happenings */
function after(...happenings) {
  return happenings.reduce(reduce, UNKNOWN);
}

/** @param {Happening[]} happenings */
function seen(...happenings) {
  return view(after(...CONNECTED, ...happenings));
}

test("a page that knows nothing says that it is connecting, behind the cover", () => {
  const { kind, covered, link } = view(UNKNOWN);
  assert.deepEqual({ kind, covered, link }, { kind: "connecting", covered: true, link: "connecting" });
});

test("the server's states are told as they are, and only a picture takes the cover away", () => {
  for (const state of /** @type {ServerState[]} */ (["waiting", "starting", "reconnecting", "curtain", "over"])) {
    const { kind, covered } = seen(says(state));
    assert.deepEqual({ kind, covered }, { kind: state, covered: true });
  }
  assert.equal(seen(says("live")).kind, "arriving");
  assert.equal(seen(says("live")).covered, true);
  assert.deepEqual(seen(says("live"), PICTURE).kind, "live");
  assert.equal(seen(says("live"), PICTURE).covered, false);
});

test("a picture that is faster than the server's word is shown at once, and stays when the word comes", () => {
  assert.equal(seen(says("starting"), PICTURE).covered, false);
  assert.equal(seen(says("starting"), PICTURE).kind, "live");
  assert.equal(seen(says("starting"), PICTURE, says("live")).covered, false);
});

test("a picture out of place is not shown", () => {
  assert.equal(seen(PICTURE, says("live")).covered, true);
  assert.equal(seen(says("waiting"), PICTURE, says("starting")).covered, true);
  assert.equal(seen(says("curtain"), PICTURE).covered, true);
});

test("the curtain hides the picture at once, and opens on a new one only", () => {
  const before = [says("live"), PICTURE];
  assert.equal(seen(...before, says("curtain")).covered, true);
  assert.equal(seen(...before, says("curtain"), says("live")).covered, true);
  assert.equal(seen(...before, says("curtain"), says("reconnecting")).covered, true);
  assert.equal(seen(...before, says("curtain"), says("live"), PICTURE).covered, false);
});

test("an interruption keeps the last picture, dimmed; its return needs no new permission", () => {
  const gap = [says("live"), PICTURE, says("reconnecting")];
  assert.deepEqual([seen(...gap).covered, seen(...gap).veiled], [false, true]);
  const back = seen(...gap, says("live"));
  assert.deepEqual([back.kind, back.covered, back.veiled], ["live", false, false]);
});

test("a picture of one lesson is not shown as the next lesson's", () => {
  assert.equal(seen(says("live"), PICTURE, says("live", "2".repeat(32))).covered, true);
  assert.equal(seen(says("live"), PICTURE, says("over")).covered, true);
});

test("a picture that stands still is said to catch up, and sound alone to be sound alone", () => {
  const stalled = seen(says("live"), PICTURE, { type: "flow", stalled: true, voiceOnly: false });
  assert.deepEqual([stalled.kind, stalled.veiled], ["catching_up", true]);
  assert.equal(seen(says("live"), { type: "flow", stalled: false, voiceOnly: true }).kind, "voice");
  assert.equal(seen(says("live"), { type: "flow", stalled: false, voiceOnly: true }, PICTURE).kind, "live");
});

test("one failed try is not worth a word; two without media are", () => {
  const live = [...CONNECTED, says("live"), PICTURE];
  /** @param {number} failures @returns {Happening} */
  const down = (failures) => ({ type: "events", status: "down", failures });
  /** @type {Happening} */
  const lost = { type: "media", status: "down", failures: 1 };
  assert.equal(view(after(...live, down(1), lost)).kind, "catching_up");
  assert.equal(view(after(...live, down(2), lost)).kind, "offline");
  assert.equal(view(after(...live, down(2), lost)).covered, false);
  assert.equal(view(after(...live, down(9))).kind, "live", "media still comes: the lesson goes on");
  assert.equal(view(after(down(2))).kind, "offline");
});

test("a network that lets no video through is named, but only when the server is reached", () => {
  /** @type {Happening} */
  const failed = { type: "media", status: "down", failures: 2 };
  assert.equal(seen(says("live"), failed).kind, "blocked");
  assert.equal(seen(says("waiting"), failed).kind, "waiting");
});

test("tries that failed while the relay was gone say nothing of the network once it is back", () => {
  /** @type {Happening[]} */
  const restart = [
    { type: "events", status: "down", failures: 1 },
    { type: "media", status: "down", failures: 2 },
    { type: "events", status: "up", failures: 0 },
  ];
  assert.equal(after(...CONNECTED, ...restart).mediaFailures, 0);
  assert.equal(seen(says("live"), PICTURE, ...restart).kind, "catching_up");
  assert.equal(seen(says("live"), ...restart, { type: "media", status: "down", failures: 2 }).kind, "blocked");
});

test("a link that is gone ends everything, the picture included", () => {
  const { kind, covered, veiled, sound, link } = seen(says("live"), PICTURE, { type: "events", status: "gone", failures: 0 });
  assert.deepEqual({ kind, covered, veiled, sound, link }, { kind: "gone", covered: true, veiled: false, sound: false, link: "down" });
});

test("the link is up when both channels are, and down when one is", () => {
  assert.equal(seen().link, "up");
  assert.equal(seen({ type: "media", status: "connecting", failures: 1 }).link, "connecting");
  assert.equal(seen({ type: "media", status: "down", failures: 1 }).link, "down");
});

test("what changes nothing gives back the same model, so that nothing is drawn", () => {
  const model = after(...CONNECTED, says("live"));
  assert.equal(reduce(model, { type: "flow", stalled: false, voiceOnly: false }), model);
});

test("media is expected from the start of a lesson to its end, the curtain excepted", () => {
  const expecting = (/** @type {ServerState} */ state) => expectsMedia(after(says(state)));
  assert.deepEqual(["starting", "live", "reconnecting"].map((state) => expecting(/** @type {ServerState} */ (state))), [true, true, true]);
  assert.deepEqual(["waiting", "curtain", "over"].map((state) => expecting(/** @type {ServerState} */ (state))), [false, false, false]);
});

test("a state event is read as docs/protocol.md writes it", () => {
  const text = `{"v": 1, "state": "live", "lesson": {"id": "ab", "started_unix_ms": 5, "ended_unix_ms": null},
    "viewers": 3, "stills": [{"url": "/c/x/stills/ab/7.jpg", "taken_unix_ms": 7}],
    "sound_warning": "silent", "recording": {"playlist": "/c/x/lessons/ab/index.m3u8", "started_unix_ms": 6}, "later": true}`;
  assert.deepEqual(readClassState(text), {
    state: "live",
    lesson: { id: "ab", started_unix_ms: 5, ended_unix_ms: null },
    viewers: 3,
    stills: [{ url: "/c/x/stills/ab/7.jpg", taken_unix_ms: 7 }],
    sound_warning: "silent",
    recording: { playlist: "/c/x/lessons/ab/index.m3u8", started_unix_ms: 6 },
  });
});

test("what is not understood is not believed", () => {
  for (const text of ["", "{", "null", "3", '"live"', "{}", '{"state": "dancing"}']) {
    assert.equal(readClassState(text), null, text);
  }
  const odd = readClassState('{"state": "over", "lesson": {"id": 3}, "viewers": "many", "stills": [{"url": 1}, 4], "sound_warning": "purring", "recording": {"playlist": 4}}');
  assert.deepEqual(odd, { state: "over", lesson: null, viewers: 0, stills: [], sound_warning: null, recording: null });
});

test("what is wrong with the voice in class is told while a voice should be heard, and never over a farewell", () => {
  /** @param {ServerState} state @returns {Happening} */
  const silent = (state) => {
    const happening = says(state);
    return happening.type === "class" ? { ...happening, school: { ...happening.school, sound_warning: "silent" } } : happening;
  };
  assert.equal(seen(silent("live"), PICTURE).soundWarning, "silent");
  assert.equal(seen(silent("live")).soundWarning, "silent");
  assert.equal(seen(says("live"), PICTURE).soundWarning, null);
  assert.equal(seen(silent("curtain")).soundWarning, null);
  assert.equal(seen(silent("over")).soundWarning, null);
});

/**
 * @param {import("../../relay/web/pages/static/picture.js").Choice} chosen
 * @param {import("../../relay/web/pages/static/picture.js").Sent} sent
 * @returns {Happening}
 */
function sends(chosen, sent) {
  return { type: "sent", sent: { chosen, sent } };
}

test("a slow picture is told as what it is, undimmed, and neither as a stall nor as a weak connection", () => {
  const slow = seen(says("live"), PICTURE, sends("auto", "slow"), { type: "flow", stalled: true, voiceOnly: false });
  assert.deepEqual([slow.kind, slow.slow, slow.veiled, slow.covered], ["slow", true, false, false]);
  const back = seen(says("live"), PICTURE, sends("auto", "slow"), sends("auto", "full"));
  assert.deepEqual([back.kind, back.slow], ["live", false]);
});

test("without picture the last one stays, dimmed, and where there was none the cover tells", () => {
  const spared = seen(says("live"), PICTURE, sends("auto", "voice"));
  assert.deepEqual([spared.kind, spared.slow, spared.veiled, spared.covered], ["spared", false, true, false]);
  assert.deepEqual(seen(says("live"), sends("auto", "voice")).covered, true);
});

test("what a pupil chose is not blamed on the network", () => {
  assert.equal(seen(says("live"), PICTURE, sends("slow", "slow")).kind, "slow_chosen");
  assert.equal(seen(says("live"), PICTURE, sends("voice", "voice")).kind, "spared_chosen");
  assert.equal(seen(says("live"), PICTURE, sends("slow", "voice")).kind, "spared");
  assert.equal(seen(says("live"), PICTURE, sends("full", "full")).kind, "live");
});

test("a curtain and a lost session are told first, whatever was sent", () => {
  assert.equal(seen(says("curtain"), sends("auto", "slow")).kind, "curtain");
  const lost = /** @type {Happening} */ ({ type: "media", status: "down", failures: 1 });
  assert.equal(seen(says("live"), PICTURE, sends("auto", "slow"), lost).kind, "catching_up");
});
