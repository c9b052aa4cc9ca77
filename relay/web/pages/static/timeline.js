/**
 * The time line of a recording: where its end is now, where its holes are, what time that is in digits. Pure.
 *
 * All times are seconds of the playlist, from its beginning. Not here: the slider (`timeline_bar.js`).
 */

/** @typedef {import("./lessons.js").Gap} Gap */

/** A player stands still this far before a hole: what lies there is less than a picture. */
const BEFORE_GAP_S = 0.35;

/** So far into what follows a hole a player surely has something to play. */
const INTO_S = 0.05;

/**
 * Where playing goes on, for a position in a hole or just before it.
 * @param {readonly Gap[]} gaps
 * @param {number} position_s
 * @param {number} duration_s
 * @returns {number | null} null: nothing to jump over, or nothing behind it
 */
export function pastGap(gaps, position_s, duration_s) {
  const gap = gaps.find(([start_s, end_s]) => position_s >= start_s - BEFORE_GAP_S && position_s < end_s);
  if (gap === undefined || gap[1] >= duration_s - INTO_S) return null;
  return gap[1] + INTO_S;
}

/**
 * Whether there is nothing at a position.
 * @param {readonly Gap[]} gaps
 * @param {number} position_s
 */
export function isInGap(gaps, position_s) {
  return gaps.some(([start_s, end_s]) => position_s >= start_s && position_s < end_s);
}

/**
 * How much is missing in all.
 * @param {readonly Gap[]} gaps
 */
export function missing_s(gaps) {
  return gaps.reduce((sum, [start_s, end_s]) => sum + end_s - start_s, 0);
}

/**
 * The holes of before that are holes no more, wholly or in part.
 * @param {readonly Gap[]} before
 * @param {readonly Gap[]} now
 * @returns {Gap[]}
 */
export function filled(before, now) {
  const isSame = (/** @type {Gap} */ one, /** @type {Gap} */ other) =>
    Math.abs(one[0] - other[0]) < BEFORE_GAP_S && Math.abs(one[1] - other[1]) < BEFORE_GAP_S;
  return before.filter((gap) => !now.some((other) => isSame(gap, other)));
}

/**
 * The holes in a list of fragments, neighbours joined.
 * @param {readonly {start: number, duration: number, gap: boolean}[]} fragments  in order
 * @returns {Gap[]}
 */
export function gapsOf(fragments) {
  /** @type {[number, number][]} */
  const gaps = [];
  let open = false;
  for (const { start, duration, gap } of fragments) {
    const last = gaps.at(-1);
    if (gap && open && last !== undefined) last[1] = start + duration;
    else if (gap) gaps.push([start, start + duration]);
    open = gap;
  }
  return gaps;
}

/**
 * The end of a recording that is being made, between two of the relay's words about it.
 *
 * The relay counts what it has, and a lesson goes on meanwhile, as long as the class is on air.
 */
export class LiveEnd {
  #known_s = 0;
  #known_ms = 0;
  #runs = false;

  /**
   * @param {number} duration_s  the relay's word
   * @param {number} now_ms
   */
  hear(duration_s, now_ms) {
    // A word that is late must not pull back what was counted right.
    const counted_s = this.at(now_ms);
    this.#known_s = duration_s > counted_s || counted_s - duration_s > LATE_S ? duration_s : counted_s;
    this.#known_ms = now_ms;
  }

  /**
   * Whether the lesson is being captured.
   * @param {boolean} runs
   * @param {number} now_ms
   */
  run(runs, now_ms) {
    this.#known_s = this.at(now_ms);
    this.#known_ms = now_ms;
    this.#runs = runs;
  }

  /** Another recording. */
  reset() {
    this.#known_s = 0;
    this.#known_ms = 0;
  }

  /** @param {number} now_ms */
  at(now_ms) {
    return this.#known_s === 0 || !this.#runs ? this.#known_s : this.#known_s + (now_ms - this.#known_ms) / 1000;
  }
}

/** What the relay's word may lag behind: two segments that are under way, and the answer's own time. */
const LATE_S = 10;

/**
 * 5 → "0:05", 3725 → "1:02:05".
 * @param {number} time_s
 */
export function digits(time_s) {
  const whole = Math.max(0, Math.floor(time_s));
  const [hours, minutes, seconds] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (/** @type {number} */ part) => String(part).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}
