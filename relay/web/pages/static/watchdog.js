/**
 * Decides when a media session that claims to be alive is dead. Pure: it is shown one sample a second and answers.
 *
 * A browser takes 5 to 30 s to call a silent peer connection failed, and never notices a decoder that stands still. Not
 * here: taking the samples and making the new session (`session.js`).
 */

/**
 * @typedef {object} Totals  of one session
 * @property {number} bytes
 * @property {number} videoBytes
 * @property {number} frames      decoded; these three are all that came so far
 * @property {number} [line_bps]  what the browser thinks that the line bears now; not every browser says it
 */

/**
 * @typedef {object} Sample
 * @property {number} now_ms
 * @property {boolean} expected   the server says that media arrives there
 * @property {boolean} sparse     pictures are known to be rare: a slow one takes seconds to arrive
 * @property {boolean} visible    browsers may stop decoding for a hidden page
 * @property {Totals} totals
 */

/** Silence before we give a session up. Longer than any key frame's retransmission, shorter than a pupil's patience. */
export const SILENCE_MS = 4000;

/** Silence that is enough when something already told us that the session is in doubt (sleep, new network, restart). */
export const DOUBT_MS = 1500;

/** Video arrives and nothing is decoded: the relay answers a picture-loss request well within this. */
export const UNDECODED_MS = 6000;

/** The same where pictures are rare. */
export const SPARSE_UNDECODED_MS = 20_000;

/** What a decoder must have been given in that time: less is not a stuck decoder but a camera that went away. */
export const UNDECODED_BYTES = 20_000;

/** From here on we tell the pupil that the picture stands still. */
export const STALL_MS = 1500;

export class Watchdog {
  #bytesAt;
  #framesAt;
  #videoBytesAtFrame = 0;
  /** @type {number | null} */
  #doubtSince = null;
  /** @type {Totals} */
  #last = { bytes: 0, videoBytes: 0, frames: 0 };

  /** @param {number} now_ms when the session came up */
  constructor(now_ms) {
    this.#bytesAt = now_ms;
    this.#framesAt = now_ms;
  }

  /**
   * The session may be dead: it now has to prove that it is not, whether or not a lesson is on.
   * @param {number} now_ms
   */
  doubt(now_ms) {
    this.#doubtSince ??= now_ms;
  }

  /**
   * @param {Sample} sample
   * @returns {{verdict: "ok" | "dead", stalled: boolean, voiceOnly: boolean, healthy: boolean}}
   */
  observe(sample) {
    const healthy = this.#note(sample);
    const { now_ms, expected, totals } = sample;
    const still_ms = now_ms - this.#framesAt;
    const silent_ms = now_ms - this.#bytesAt;
    const dead = this.#isDoubtful(now_ms) || (expected && (silent_ms > SILENCE_MS || this.#isUndecoded(sample)));
    return {
      verdict: dead ? "dead" : "ok",
      stalled: expected && sample.visible && totals.frames > 0 && still_ms > STALL_MS,
      voiceOnly: expected && healthy && totals.frames === 0 && totals.videoBytes === 0 && still_ms > STALL_MS,
      healthy,
    };
  }

  /** @param {Sample} sample */
  #note({ now_ms, expected, visible, totals }) {
    const healthy = totals.bytes > this.#last.bytes;
    if (healthy) this.#doubtSince = null;
    if (healthy || !expected) this.#bytesAt = now_ms;
    const decodes = totals.frames > this.#last.frames;
    if (decodes || !expected || !visible) {
      this.#framesAt = now_ms;
      this.#videoBytesAtFrame = totals.videoBytes;
    }
    this.#last = totals;
    return healthy;
  }

  /** @param {number} now_ms */
  #isDoubtful(now_ms) {
    return this.#doubtSince !== null && now_ms - this.#doubtSince > DOUBT_MS;
  }

  /** @param {Sample} sample */
  #isUndecoded({ now_ms, sparse, totals }) {
    const undecoded = totals.videoBytes - this.#videoBytesAtFrame;
    return undecoded > UNDECODED_BYTES && now_ms - this.#framesAt > (sparse ? SPARSE_UNDECODED_MS : UNDECODED_MS);
  }
}
