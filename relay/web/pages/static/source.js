/**
 * Which source a pupil watches when: the direct one (WebRTC, under a second), or the recording (HLS). Pure.
 *
 * Not here: doing it (`watching.js`), and playing (`player.js`, `recording.js`).
 */

/** How far delayed watching begins before the recording's end, which moves on by a segment of 2 s at a time. */
export const DELAY_S = 2;

/** Further than this behind that end one jumps ahead… */
const TOO_FAR_S = 7;

/** …and from here on one hurries, the more the further. What is left just before a segment comes is 0.7 s. */
const HURRY_FROM_S = 2.7;
const HURRY_PER_S = 0.1;
const HURRY_AT_MOST = 0.15;

/** On a network where that is too little, each time the picture has to wait this is added, up to a limit. */
const MORE_S = 0.5;
const MOST_S = 3;

/** Nobody has anything to spare in the first seconds: a wait in them says nothing about the network. */
const SETTLES_S = 6;

/**
 * So long the direct way has at first, before the recording is shown meanwhile: four round trips of 300 ms, where a check,
 * the handshake and the first picture need three and a half. If it opens later, it is taken then.
 */
export const DIRECT_FIRST_MS = 1200;

/** A way that opens is open by then: where it is not, what plays recordings is loaded meanwhile. */
export const DIRECT_LIKELY_MS = 600;

/** So close to the recording's end there is no more to hurry for. */
const CAUGHT_UP_S = 1.5;

/** What is this close to the end is meant as "live" by whoever drags there. */
const MEANS_LIVE_S = 4;

/** @typedef {"live" | "delayed" | "recorded"} Watching  delayed: live by way of the recording, for want of another */

/**
 * Whether the direct way is shut, while the relay itself can be reached.
 *
 * One failure is enough where it never was open: some networks let no UDP through. Where it was open, the first failure
 * is more likely a hiccup that the next try mends. Nor is the failure waited for where the first try takes long.
 * @param {{events: import("./state.js").EventsStatus, media: import("./state.js").MediaStatus, mediaFailures: number}} model
 * @param {boolean} everDirect  media came on the direct way before, in this page
 * @param {number} waited_ms  how long it has been waited for
 */
export function isDirectShut({ events, media, mediaFailures }, everDirect, waited_ms) {
  if (events !== "up" || media === "up") return false;
  return mediaFailures >= (everDirect ? 2 : 1) || (!everDirect && waited_ms >= DIRECT_FIRST_MS);
}

/**
 * Whether who plays the running lesson faster has caught up, and is to see it live from now on.
 * @param {{position_s: number, end_s: number, rate: number}} at  the end is that of what the relay has
 */
export function hasCaughtUp({ position_s, end_s, rate }) {
  return rate > 1 && end_s - position_s <= CAUGHT_UP_S;
}

/**
 * Whether who drags to a moment of the running lesson means "live".
 * @param {number} position_s
 * @param {number} end_s
 */
export function meansLive(position_s, end_s) {
  return end_s - position_s <= MEANS_LIVE_S;
}

/** How delayed watching stays close to the lesson, and no closer than the network allows. */
export class Closeness {
  #more_s = 0;
  #began_s = 0;

  /**
   * The picture had to wait for the next segment.
   * @param {number} position_s
   */
  onWait(position_s) {
    if (position_s - this.#began_s < SETTLES_S) return;
    this.#more_s = Math.min(MOST_S, this.#more_s + MORE_S);
  }

  /**
   * @param {{position_s: number, end_s: number}} at
   * @returns {{seek_s: number | null, rate: number}}
   */
  advise({ position_s, end_s }) {
    const behind_s = end_s - position_s - this.#more_s;
    if (behind_s > TOO_FAR_S) return { seek_s: end_s - DELAY_S - this.#more_s, rate: 1 };
    const hurry = Math.min(HURRY_AT_MOST, Math.max(0, HURRY_PER_S * (behind_s - HURRY_FROM_S)));
    return { seek_s: null, rate: 1 + Math.round(100 * hurry) / 100 };
  }

  /**
   * Where to begin, for a player that has chosen a place by itself.
   * @param {{position_s: number, end_s: number}} at
   * @returns {number | null} null: it is well there
   */
  begin({ position_s, end_s }) {
    const goal_s = end_s - DELAY_S - this.#more_s;
    this.#began_s = Math.max(goal_s, position_s);
    return goal_s > position_s ? goal_s : null;
  }
}

/** Whoever comes later than this into a lesson is asked whether to see it from its beginning. */
const LATE_FROM_S = 60;

/**
 * What a pupil who has just come into a running lesson is offered beside "now".
 * @param {number} duration_s  of what was recorded when the pupil came
 * @param {number | null} stopped_s  where the same pupil stopped before
 * @returns {number | null} the moment, or null for no offer
 */
export function lateOffer(duration_s, stopped_s) {
  if (duration_s < LATE_FROM_S) return null;
  return stopped_s !== null && stopped_s < duration_s - LATE_FROM_S ? stopped_s : 0;
}
