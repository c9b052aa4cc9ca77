/**
 * Parses a stream of server-sent events (WHATWG HTML §9.2.6), as far as the relay uses it: `event`, `data`, comments.
 *
 * Pure. Why not the browser's EventSource: it hides the status of a refusal (a rotated link looks like a restart), hides
 * the keep-alive comments (a dead connection looks like a calm one), and gives up for good on a 502.
 */

/** @typedef {{name: string, data: string}} ServerEvent */

export class SseParser {
  #rest = "";
  #name = "";
  /** @type {string[]} */
  #data = [];

  /**
   * Takes the next piece of text, cut anywhere, and returns the events that it completed.
   * @param {string} text
   * @returns {ServerEvent[]}
   */
  push(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?=.)/su);
    this.#rest = lines.pop() ?? "";
    return lines.flatMap((line) => this.#take(line));
  }

  /**
   * @param {string} line
   * @returns {ServerEvent[]}
   */
  #take(line) {
    if (line === "") return this.#finish();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /u, "");
    if (field === "event") this.#name = value;
    if (field === "data") this.#data.push(value);
    return [];
  }

  /** @returns {ServerEvent[]} */
  #finish() {
    const event = { name: this.#name || "message", data: this.#data.join("\n") };
    const complete = this.#data.length > 0;
    this.#name = "";
    this.#data = [];
    return complete ? [event] : [];
  }
}
