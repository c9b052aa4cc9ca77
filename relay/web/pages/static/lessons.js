/**
 * The class's recorded lessons (docs/protocol.md, "Replays"): reads the relay's list, and asks for it again.
 *
 * `Lessons` owns the asking; when to ask is `watching.js`'s matter. Not here: how the list looks (`replays.js`).
 */

/** A list that takes longer than this will be asked for again; nothing on the page waits for it. */
const ANSWER_MS = 10_000;

/** @typedef {readonly [start_s: number, end_s: number]} Gap  a stretch of the recording that is not there (yet) */

/**
 * @typedef {object} RecordedLesson
 * @property {string} id
 * @property {number} started_unix_ms
 * @property {number} duration_s    of the recording; what was never captured (curtain) takes no time in it
 * @property {boolean} live         it still runs
 * @property {boolean} complete     nothing will be added
 * @property {string | null} thumbnail
 * @property {string} playlist
 * @property {string} download
 * @property {readonly Gap[]} gaps  in order
 */

export class Lessons {
  #url;
  #onList;
  #asking = false;
  #again = false;

  /**
   * @param {string} url
   * @param {(lessons: readonly RecordedLesson[]) => void} onList  each list that came, newest first
   */
  constructor(url, onList) {
    this.#url = url;
    this.#onList = onList;
  }

  /** Asks now; while an answer is under way, once more after it. */
  async ask() {
    if (this.#asking) {
      this.#again = true;
      return;
    }
    this.#asking = true;
    do {
      this.#again = false;
      await this.#askOnce();
    } while (this.#again);
    this.#asking = false;
  }

  async #askOnce() {
    try {
      const response = await fetch(this.#url, { cache: "no-cache", signal: timeout(ANSWER_MS) });
      const lessons = response.ok ? readLessons(await response.text()) : null;
      if (lessons !== null) this.#onList(lessons);
    } catch (error) {
      // No network, or too slow a one: the list from before stands until the next question.
      if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
    }
  }
}

/** `AbortSignal.timeout`, also for browsers from before 2022. @param {number} ms */
function timeout(ms) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), ms);
  return controller.signal;
}

/**
 * Reads the relay's list. A lesson that cannot be understood is left out.
 * @param {string} text
 * @returns {RecordedLesson[] | null} null for what is no list
 */
export function readLessons(text) {
  /** @type {any} */
  let raw;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
  return Array.isArray(raw?.lessons) ? raw.lessons.filter(isLesson).map(readLesson) : null;
}

/** @param {any} raw */
function isLesson(raw) {
  const texts = [raw?.id, raw?.playlist, raw?.download];
  return texts.every((text) => typeof text === "string") && isTime(raw.started_unix_ms) && isTime(raw.duration_ms);
}

/**
 * @param {any} raw
 * @returns {RecordedLesson}
 */
function readLesson(raw) {
  const gaps = Array.isArray(raw.gaps) ? raw.gaps.filter(isGap) : [];
  return {
    id: raw.id,
    started_unix_ms: raw.started_unix_ms,
    duration_s: raw.duration_ms / 1000,
    live: raw.live === true,
    complete: raw.complete === true,
    thumbnail: typeof raw.thumbnail === "string" ? raw.thumbnail : null,
    playlist: raw.playlist,
    download: raw.download,
    gaps: gaps.map((/** @type {[number, number]} */ [start_ms, end_ms]) => [start_ms / 1000, end_ms / 1000]),
  };
}

/** @param {any} raw */
function isGap(raw) {
  return Array.isArray(raw) && isTime(raw[0]) && isTime(raw[1]) && raw[0] < raw[1];
}

/** @param {unknown} raw */
function isTime(raw) {
  return typeof raw === "number" && Number.isFinite(raw) && raw >= 0;
}
