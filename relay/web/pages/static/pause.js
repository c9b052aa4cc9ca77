/** A wait that anyone may cut short: between two tries, until "the network is back" says: now. */
export class Pause {
  /** @type {(() => void) | null} */
  #cut = null;

  /**
   * Resolves after `ms`, or at once when cut.
   * @param {number} ms
   * @returns {Promise<void>}
   */
  wait(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.cut(), ms);
      this.#cut = () => {
        clearTimeout(timer);
        this.#cut = null;
        resolve();
      };
    });
  }

  /** Ends the wait that is on; does nothing when none is. */
  cut() {
    this.#cut?.();
  }
}
