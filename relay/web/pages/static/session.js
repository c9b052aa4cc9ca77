/**
 * Keeps media coming: opens a session, has it watched, and opens another when it is lost, until told to stop.
 *
 * The old session stays until the new one is up, and whichever lives first wins: after a short outage that is the old
 * one, after a relay's restart the new one.
 */

import { Attended } from "./attended.js";
import { Backoff } from "./backoff.js";
import { Pause } from "./pause.js";
import { rememberedChoice } from "./picture.js";
import { openWhep, WhepRefused, WhepUnreachable } from "./whep.js";

/** The longest wait that we accept from a relay's `Retry-After`. */
const RETRY_AFTER_CAP_MS = 30_000;

/**
 * @typedef {object} SessionListener
 * @property {(stream: MediaStream) => void} onStream              a new session is up, with this stream
 * @property {(status: import("./state.js").MediaStatus, failures: number) => void} onStatus
 * @property {(picture: import("./picture.js").ViewerPicture) => void} onPicture  how much of it the relay sends
 * @property {import("./attended.js").Eye["isSparse"]} isSparse
 * @property {import("./attended.js").Eye["onFlow"]} onFlow
 * @property {import("./attended.js").Eye["isExpected"]} isExpected
 * @property {import("./attended.js").Eye["isSeen"]} isSeen
 */

export class LiveSession {
  #url;
  #listener;
  #backoff = new Backoff();
  #pause = new Pause();
  /** @type {AbortController | null} aborted: this run is over */
  #life = null;
  /** @type {AbortController | null} the try that is on */
  #attempt = null;
  /** @type {Attended | null} */
  #current = null;
  /** @type {Promise<import("./whep.js").WhepSession> | null} */
  #first;

  /**
   * @param {string} url
   * @param {Promise<import("./whep.js").WhepSession>} first  one that is being opened already
   * @param {SessionListener} listener
   */
  constructor(url, first, listener) {
    this.#url = url;
    this.#first = first;
    this.#listener = listener;
  }

  /** Receives until `stop()`. */
  async run() {
    this.stop();
    const { signal } = (this.#life = new AbortController());
    while (!signal.aborted) {
      const wish_ms = await this.#replace();
      while (this.#current?.well && !signal.aborted) await this.#current.lost;
      if (signal.aborted) return;
      const wait_ms = Math.max(this.#backoff.next(), wish_ms);
      this.#listener.onStatus("down", this.#backoff.failures);
      await this.#pause.wait(wait_ms);
      while (this.#current?.well && !signal.aborted) await this.#current.lost;
    }
  }

  /**
   * Something happened that a session may not have survived, or that mends what let tries fail: try at once, or prove that
   * it still lives.
   */
  doubt() {
    this.#backoff.reset();
    this.#pause.cut();
    void this.#current?.doubt();
  }

  /**
   * Asks the relay how much of the picture it sends, or for as much as was chosen.
   * @param {import("./picture.js").Choice} [chosen]
   */
  async askPicture(chosen) {
    const current = this.#current;
    const picture = await current?.picture(chosen);
    if (picture && current === this.#current) this.#listener.onPicture(picture);
  }

  /** Leaves; safe in `pagehide`. */
  stop() {
    this.#life?.abort();
    this.#attempt?.abort();
    this.#current?.end();
    this.#current = null;
    this.#pause.cut();
  }

  /**
   * Tries once to put a new session in the place of the current one.
   * @returns {Promise<number>} how long the relay asks us to wait, in ms
   */
  async #replace() {
    this.#listener.onStatus("connecting", this.#backoff.failures);
    this.#attempt = new AbortController();
    try {
      const session = await this.#open(this.#attempt.signal);
      this.#current?.end();
      this.#current = new Attended(session, this.#eye());
      this.#listener.onStatus("up", 0);
      this.#listener.onStream(session.stream);
      this.#listener.onPicture({ chosen: "auto", sent: "full" });
      if (rememberedChoice() !== "auto") void this.askPicture(rememberedChoice());
    } catch (error) {
      if (error instanceof WhepRefused) return Math.min(error.retryAfter_ms, RETRY_AFTER_CAP_MS);
      if (!isConnectionFailure(error)) throw error;
    } finally {
      this.#attempt = null;
    }
    return 0;
  }

  /** @param {AbortSignal} signal */
  async #open(signal) {
    const first = this.#first;
    this.#first = null;
    if (first === null) return openWhep(this.#url, signal);
    const session = await first;
    if (!signal.aborted) return session;
    session.close(); // the pupil left while it was being opened
    throw new WhepUnreachable("stopped");
  }

  /** @returns {import("./attended.js").Eye} */
  #eye() {
    return {
      onFound: () => this.#onFound(),
      onHealthy: () => this.#backoff.reset(),
      onFlow: this.#listener.onFlow,
      isSparse: this.#listener.isSparse,
      isExpected: this.#listener.isExpected,
      isSeen: this.#listener.isSeen,
    };
  }

  /** The outage is over and the old session lives: no other is needed. */
  #onFound() {
    this.#attempt?.abort();
    this.#pause.cut();
    this.#listener.onStatus("up", 0);
  }
}

/**
 * What opening a session throws when the network or the relay is at fault, or when we left in the middle of it.
 * @param {unknown} error
 */
function isConnectionFailure(error) {
  return error instanceof WhepUnreachable || error instanceof TypeError || error instanceof DOMException;
}
