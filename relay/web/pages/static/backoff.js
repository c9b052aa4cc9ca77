/**
 * How long to wait before the next try: doubling, capped, and jittered, so that thirty pupils whose relay restarted
 * do not come back in the same instant.
 */

/** A first retry this soon is not noticed by a pupil. */
const FIRST_S = 0.3;

/** A pupil whose network is back must not stare at a dead page for longer than this. */
const CAP_S = 5;

/** Waits are drawn from [½, 1] of the nominal one. */
const JITTER = 0.5;

export class Backoff {
  #failures = 0;
  #random;

  /** @param {() => number} [random] numbers in [0, 1) */
  constructor(random = Math.random) {
    this.#random = random;
  }

  /** How many tries failed since the last success. */
  get failures() {
    return this.#failures;
  }

  /** Counts one failure and says how many milliseconds to wait now. */
  next() {
    const nominal_s = Math.min(CAP_S, FIRST_S * 2 ** this.#failures);
    this.#failures += 1;
    return 1000 * nominal_s * (1 - JITTER * this.#random());
  }

  reset() {
    this.#failures = 0;
  }
}
