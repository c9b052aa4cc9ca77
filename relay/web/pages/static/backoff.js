/**
 * How long to wait before the next try: doubling, capped, and jittered, so that thirty pupils whose relay restarted
 * do not come back in the same instant.
 */

/** A first retry this soon is not noticed by a pupil. */
const FIRST_S = 0.3;

/** The cap of a young outage: when it ends, the lesson is to be back within two seconds (DESIGN.md, "Numbers to hold"). */
const YOUNG_CAP_S = 1.5;

/** The cap of an old one: a relay that is down for long is not hammered by everyone who left a page open. */
const OLD_CAP_S = 5;

/** From this many failures (about half a minute) on, an outage is old. */
const OLD_AFTER = 20;

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
    const cap_s = this.#failures < OLD_AFTER ? YOUNG_CAP_S : OLD_CAP_S;
    const nominal_s = Math.min(cap_s, FIRST_S * 2 ** this.#failures);
    this.#failures += 1;
    return 1000 * nominal_s * (1 - JITTER * this.#random());
  }

  reset() {
    this.#failures = 0;
  }
}
