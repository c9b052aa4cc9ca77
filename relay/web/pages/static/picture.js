/**
 * How much of the picture the relay sends this pupil: what was chosen here, and when to ask the relay what it does.
 *
 * The relay decides by the line (docs/protocol.md, "A viewer's picture") and tells who asks. The page asks when its own
 * statistics look like a change: so nobody asks whose picture simply runs, or is simply slow. Not here: asking (`whep.js`).
 */

import { byId } from "./page_parts.js";
import { recall, remember } from "./memory.js";

/** @typedef {"full" | "slow" | "voice"} Sent  all of it; the board about every two seconds; none */
/** @typedef {"auto" | Sent} Choice  "auto": what the line bears */
/** @typedef {{chosen: Choice, sent: Sent}} ViewerPicture */

/** @type {readonly unknown[]} */
const CHOICES = ["auto", "full", "slow", "voice"];

/** While it looks like a change: after each sample, and no two in one second. */
const ASK_EVERY_MS = 900;

/** Frames in a second that are no longer a slow picture; a kit makes as many at least. */
const RUNNING_FRAMES = 5;

/** Frames in two seconds that are no running picture any more. */
const RARE_FRAMES = 3;

/** Frames in one second that are none any more of a picture that ran in the second before. */
const STOPPED_FRAMES = 1;

/**
 * What the line is thought to bear falls so far within one second: the relay hears of it, too, and steps back while the last
 * pictures are still in some router's queue.
 */
const NARROWED = 0.5;

/** For so long after it: the relay may want to see it twice. */
const NARROWED_MS = 2500;

/** A slow picture that is later than this may be none any more. */
const OVERDUE_MS = 6000;

/**
 * @param {unknown} value
 * @returns {value is Choice}
 */
export function isChoice(value) {
  return CHOICES.includes(value);
}

/**
 * Reads the relay's answer.
 * @param {any} raw
 * @returns {ViewerPicture | null} null for what we cannot understand
 */
export function readPicture(raw) {
  const known = isChoice(raw?.chosen) && isChoice(raw.sent) && raw.sent !== "auto";
  return known ? { chosen: raw.chosen, sent: raw.sent } : null;
}

/** Pure: shown one sample a second, it says when to ask. */
export class PictureDoubt {
  #asked_ms = -Infinity;
  #frame_ms = 0;
  #before = Infinity; // the last sample's new frames
  #line_bps = 0;
  #narrowed_ms = -Infinity;

  /**
   * @param {{now_ms: number, sent: Sent, newFrames: number, line_bps?: number | undefined}} sample  while pictures are
   *   expected, and decoded; `line_bps` as in `Totals`
   * @returns {boolean} whether the relay may be sending something else than we believe
   */
  observe({ now_ms, sent, newFrames, line_bps = 0 }) {
    if (newFrames > 0) this.#frame_ms = now_ms;
    if (line_bps > 0 && line_bps < NARROWED * this.#line_bps) this.#narrowed_ms = now_ms;
    this.#line_bps = line_bps;
    const odd = this.#isOdd(now_ms, sent, newFrames);
    this.#before = newFrames;
    if (!odd || now_ms - this.#asked_ms < ASK_EVERY_MS) return false;
    this.#asked_ms = now_ms;
    return true;
  }

  /**
   * @param {number} now_ms
   * @param {Sent} sent
   * @param {number} newFrames
   */
  #isOdd(now_ms, sent, newFrames) {
    if (sent === "full") {
      const ran = Number.isFinite(this.#before) && this.#before >= RUNNING_FRAMES;
      const narrowed = now_ms - this.#narrowed_ms < NARROWED_MS;
      return narrowed || (ran && newFrames <= STOPPED_FRAMES) || newFrames + this.#before <= RARE_FRAMES;
    }
    if (sent === "voice") return newFrames > 0;
    return newFrames >= RUNNING_FRAMES || now_ms - this.#frame_ms > OVERDUE_MS;
  }
}

/** The list under the lesson from which a pupil chooses; the choice is remembered in this browser. */
export class PictureChoice {
  #select = byId("picture", HTMLSelectElement);

  /** @param {(chosen: Choice) => void} onChoice */
  constructor(onChoice) {
    this.#select.value = rememberedChoice();
    this.#select.addEventListener("change", () => {
      remember("picture", this.#select.value);
      onChoice(rememberedChoice());
    });
  }
}

/** @returns {Choice} */
export function rememberedChoice() {
  const remembered = recall("picture");
  return isChoice(remembered) ? remembered : "auto";
}
