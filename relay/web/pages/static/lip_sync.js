/**
 * Keeps the picture in step with the voice: says how long the picture should wait. Pure; shown one sample a second.
 *
 * We ask the browser for the smallest delay of both, and a voice needs more of it than a picture. Chromium brings them
 * together by itself, but not within 30 ms and, seen here, not before ten seconds have passed. Not here: taking the
 * samples and setting the delay (`whep.js`).
 */

/** Nobody sees less (ITU-R BT.1359: detectable from 45 ms sound first, 125 ms picture first), and stats are as noisy. */
const TOLERANCE_MS = 10;

/** More is no skew but a clock that was set or a report that has not come yet. */
const IMPLAUSIBLE_MS = 1000;

/** What one sample's step takes of the way: the browser needs about a second to follow. */
const STEP = 0.6;

/** A picture that waits longer than this for its voice is not live. */
const LONGEST_MS = 400;

export class LipSync {
  #delay_ms = 0;

  /** @param {number} ahead_ms how far the picture on screen is ahead of the voice in the speaker */
  observe(ahead_ms) {
    if (Math.abs(ahead_ms) < TOLERANCE_MS || Math.abs(ahead_ms) > IMPLAUSIBLE_MS) return;
    this.#delay_ms = Math.min(LONGEST_MS, Math.max(0, this.#delay_ms + STEP * ahead_ms));
  }

  /** The least delay that the picture should have now. */
  get delay_ms() {
    return this.#delay_ms;
  }
}
