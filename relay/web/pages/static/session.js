/**
 * Keeps a media session alive: opens one, watches it, and opens another when it dies, until it is told to stop.
 */

import { Backoff } from "./backoff.js";
import { Pause } from "./pause.js";
import { Watchdog } from "./watchdog.js";
import { openWhep, WhepRefused, WhepUnreachable } from "./whep.js";

/** How often a session is looked at. `getStats` costs a browser well under a millisecond. */
const SAMPLE_EVERY_MS = 1000;

/** The longest wait that we accept from a relay's `Retry-After`. */
const RETRY_AFTER_CAP_MS = 30_000;

/**
 * @typedef {object} SessionListener
 * @property {(stream: MediaStream) => void} onStream              a session is up, with this stream
 * @property {(status: import("./state.js").MediaStatus, failures: number) => void} onStatus
 * @property {(flow: {stalled: boolean, voiceOnly: boolean, newFrames: number}) => void} onFlow   each sample
 * @property {() => boolean} isExpected                            whether media must be arriving now
 */

export class LiveSession {
  #url;
  #listener;
  #backoff = new Backoff();
  #pause = new Pause();
  /** @type {AbortController | null} aborted: this run is over */
  #life = null;
  /** @type {Attended | null} */
  #attended = null;

  /**
   * @param {string} url
   * @param {SessionListener} listener
   */
  constructor(url, listener) {
    this.#url = url;
    this.#listener = listener;
  }

  /** Receives until `stop()`. */
  async run() {
    const life = new AbortController();
    this.stop();
    this.#life = life;
    while (!life.signal.aborted) {
      const wish_ms = await this.#receiveOnce(life.signal);
      if (life.signal.aborted) return;
      const wait_ms = Math.max(this.#backoff.next(), wish_ms);
      this.#listener.onStatus("down", this.#backoff.failures);
      await this.#pause.wait(wait_ms);
    }
  }

  /** Something happened that a session may not have survived: try at once, or prove that it still lives. */
  doubt() {
    this.#pause.cut();
    void this.#attended?.doubt();
  }

  /** Leaves; safe in `pagehide`. */
  stop() {
    this.#life?.abort();
    this.#attended?.end();
    this.#pause.cut();
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<number>} how long the relay asks us to wait, in ms
   */
  async #receiveOnce(signal) {
    this.#listener.onStatus("connecting", this.#backoff.failures);
    try {
      const session = await openWhep(this.#url, signal);
      this.#listener.onStatus("up", 0);
      this.#listener.onStream(session.stream);
      this.#attended = new Attended(session, this.#listener, this.#backoff);
      await this.#attended.ended;
      return 0;
    } catch (error) {
      if (error instanceof WhepRefused) return Math.min(error.retryAfter_ms, RETRY_AFTER_CAP_MS);
      if (isConnectionFailure(error)) return 0;
      throw error;
    } finally {
      this.#attended = null;
    }
  }
}

/** A session that is up, and the eye on it. Owns the session: closes it at the end. */
class Attended {
  #session;
  #listener;
  #backoff;
  #watchdog = new Watchdog(performance.now());
  #timer;
  #frames = 0;
  /** @type {() => void} */
  #resolve = () => undefined;
  #over = false;

  /**
   * @param {import("./whep.js").WhepSession} session
   * @param {SessionListener} listener
   * @param {Backoff} backoff
   */
  constructor(session, listener, backoff) {
    this.#session = session;
    this.#listener = listener;
    this.#backoff = backoff;
    /** @type {Promise<void>} */
    this.ended = new Promise((resolve) => (this.#resolve = resolve));
    this.#timer = setInterval(() => void this.#sample(), SAMPLE_EVERY_MS);
    session.onconnection = () => this.#onConnection();
  }

  async doubt() {
    // What came before the doubt arose proves nothing: count it first.
    await this.#sample();
    this.#watchdog.doubt(performance.now());
  }

  end() {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#timer);
    this.#session.close();
    this.#resolve();
  }

  #onConnection() {
    const { connection } = this.#session;
    if (connection === "failed" || connection === "closed") this.end();
    // The browser may find the way again by itself, but it is not in a hurry; we are.
    if (connection === "disconnected") void this.doubt();
  }

  async #sample() {
    if (this.#over) return;
    const totals = await this.#session.totals();
    if (this.#over) return;
    const expected = this.#listener.isExpected();
    const visible = document.visibilityState === "visible";
    const seen = this.#watchdog.observe({ now_ms: performance.now(), expected, visible, totals });
    if (seen.healthy || !expected) this.#backoff.reset();
    const newFrames = totals.frames - this.#frames;
    this.#frames = totals.frames;
    this.#listener.onFlow({ stalled: seen.stalled, voiceOnly: seen.voiceOnly, newFrames });
    if (seen.verdict === "dead") this.end();
  }
}

/**
 * What opening a session throws when the network or the relay is at fault, or when we left in the middle of it.
 * @param {unknown} error
 */
function isConnectionFailure(error) {
  return error instanceof WhepUnreachable || error instanceof TypeError || error instanceof DOMException;
}
