/**
 * A media session that is up, and the eye on it: says when it is lost and when it is found again. Owns the session.
 *
 * A lost session is not closed: after a short outage it goes on by itself, faster than any new one could be made.
 */

import { Watchdog } from "./watchdog.js";

/** How often a session is looked at. `getStats` costs a browser well under a millisecond. */
const SAMPLE_EVERY_MS = 1000;

/** How often a session is looked at that is lost, and may come back at any moment. */
const SAMPLE_LOST_EVERY_MS = 250;

/** @typedef {{stalled: boolean, voiceOnly: boolean, newFrames: number, flowing: boolean, line_bps: number | undefined}} Flow */

/**
 * @typedef {object} Eye
 * @property {() => void} onFound                                 the session that was lost is well again
 * @property {() => void} onHealthy                               it does what it should, as of now
 * @property {(flow: Flow) => void} onFlow                        each sample
 * @property {() => boolean} isSparse                             whether pictures are known to be rare
 * @property {() => boolean} isSeen                               whether the picture is on screen, so that it is decoded
 * @property {() => boolean} isExpected                           whether media must be arriving now
 */

export class Attended {
  #session;
  #eye;
  #watchdog = new Watchdog(performance.now());
  #timer = 0;
  #frames = 0;
  #well = true;
  #over = false;
  /** @type {() => void} */
  #lose = () => undefined;
  /** @type {Promise<void>} */
  #lost = this.#nextLoss();

  /**
   * @param {import("./whep.js").WhepSession} session
   * @param {Eye} eye
   */
  constructor(session, eye) {
    this.#session = session;
    this.#eye = eye;
    session.onconnection = () => this.#onConnection();
    this.#schedule();
  }

  get well() {
    return this.#well;
  }

  /** Resolves when the session is lost or ended. */
  get lost() {
    return this.#lost;
  }

  /**
   * See `WhepSession.picture`.
   * @param {import("./picture.js").Choice} [chosen]
   */
  picture(chosen) {
    return this.#session.picture(chosen);
  }

  /** It may not have survived what just happened: from now on it has to prove that it lives. */
  async doubt() {
    // What came before the doubt arose proves nothing: count it first.
    await this.#sample();
    this.#watchdog.doubt(performance.now());
  }

  end() {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#session.close();
    this.#setLost();
  }

  #schedule() {
    const look = async () => {
      await this.#sample();
      if (!this.#over) this.#schedule();
    };
    this.#timer = window.setTimeout(() => void look(), this.#well ? SAMPLE_EVERY_MS : SAMPLE_LOST_EVERY_MS);
  }

  #onConnection() {
    const { connection } = this.#session;
    if (connection === "failed" || connection === "closed") this.#setLost();
    // The browser may find the way again by itself, but it is not in a hurry; we are.
    if (connection === "disconnected") void this.doubt();
  }

  async #sample() {
    if (this.#over) return;
    const totals = await this.#session.totals();
    if (this.#over) return;
    const expected = this.#eye.isExpected();
    const visible = document.visibilityState === "visible" && this.#eye.isSeen();
    const sparse = this.#eye.isSparse();
    const seen = this.#watchdog.observe({ now_ms: performance.now(), expected, visible, sparse, totals });
    const newFrames = totals.frames - this.#frames;
    this.#frames = totals.frames;
    if (seen.verdict === "dead") this.#setLost();
    else if (seen.healthy) this.#setFound();
    if (this.#well && (seen.healthy || !expected)) this.#eye.onHealthy();
    const { stalled, voiceOnly, healthy } = seen;
    this.#eye.onFlow({ stalled, voiceOnly, newFrames, flowing: healthy, line_bps: totals.line_bps });
  }

  #setLost() {
    this.#well = false;
    this.#lose();
  }

  #setFound() {
    if (this.#well) return;
    this.#well = true;
    this.#lost = this.#nextLoss();
    this.#eye.onFound();
  }

  /** @returns {Promise<void>} */
  #nextLoss() {
    return new Promise((resolve) => (this.#lose = resolve));
  }
}
