/**
 * The state channel: keeps listening to `GET /c/<link>/events`, whatever happens to network and relay.
 *
 * Not here: what a state means (`state.js`).
 */

import { Backoff } from "./backoff.js";
import { Pause } from "./pause.js";
import { SseParser } from "./sse.js";

/** The relay comments every 15 s: two missed ones mean that nobody is there. */
const SILENCE_MS = 35_000;

/** How long the relay may take to answer at all; a try made while nothing gets through must not outlive that by much. */
const ANSWER_MS = 5000;

/** A rotated link does not come back, but a proxy's 404 during an upgrade does. */
const GONE_RETRY_MS = 60_000;

/** What the relay answers for a link that it does not know (any more). */
const UNKNOWN_LINK = new Set([404, 410]);

/**
 * @typedef {object} EventsListener
 * @property {(data: string) => void} onState                      one `state` event
 * @property {(status: import("./state.js").EventsStatus, failures: number) => void} onStatus
 */

export class ClassEvents {
  #url;
  #listener;
  #backoff = new Backoff();
  #pause = new Pause();
  /** @type {AbortController | null} aborted: this run is over */
  #life = null;
  /** @type {AbortController | null} */
  #connection = null;

  /**
   * @param {string} url
   * @param {EventsListener} listener
   */
  constructor(url, listener) {
    this.#url = url;
    this.#listener = listener;
  }

  /** Listens until `stop()`. */
  async run() {
    const life = new AbortController();
    this.stop();
    this.#life = life;
    while (!life.signal.aborted) {
      const wait_ms = await this.#listenOnce();
      if (life.signal.aborted) return;
      await this.#pause.wait(wait_ms);
    }
  }

  /** The connection may be dead without anyone having told us: makes a new one now. */
  renew() {
    this.#connection?.abort();
    this.#pause.cut();
  }

  stop() {
    this.#life?.abort();
    this.renew();
  }

  /** @returns {Promise<number>} how long to wait before the next try, in ms */
  async #listenOnce() {
    this.#connection = new AbortController();
    try {
      await this.#listen(this.#connection);
    } catch (error) {
      if (error instanceof LinkUnknown) {
        this.#listener.onStatus("gone", this.#backoff.failures);
        return GONE_RETRY_MS;
      }
      if (!isNetworkFailure(error)) throw error;
    }
    const wait_ms = this.#backoff.next();
    if (!this.#life?.signal.aborted) this.#listener.onStatus("down", this.#backoff.failures);
    return wait_ms;
  }

  /** @param {AbortController} connection */
  async #listen(connection) {
    let timer = setTimeout(() => connection.abort(), ANSWER_MS);
    try {
      const reader = await this.#open(connection.signal);
      const parser = new SseParser();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        clearTimeout(timer);
        timer = setTimeout(() => connection.abort(), SILENCE_MS);
        this.#deliver(parser.push(part.value));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** @param {AbortSignal} signal */
  async #open(signal) {
    const headers = { Accept: "text/event-stream" };
    const response = await fetch(this.#url, { signal, headers, cache: "no-store" });
    if (UNKNOWN_LINK.has(response.status)) throw new LinkUnknown();
    if (!response.ok || response.body === null) throw new TypeError(`state channel: HTTP ${response.status}`);
    this.#backoff.reset();
    this.#listener.onStatus("up", 0);
    return response.body.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** @param {import("./sse.js").ServerEvent[]} events */
  #deliver(events) {
    for (const { name, data } of events) {
      if (name === "state") this.#listener.onState(data);
    }
  }
}

class LinkUnknown extends Error {}

/**
 * What fetch and its streams throw when the network or the relay goes (TypeError), or when we abort (DOMException).
 * @param {unknown} error
 */
function isNetworkFailure(error) {
  return error instanceof TypeError || error instanceof DOMException;
}
