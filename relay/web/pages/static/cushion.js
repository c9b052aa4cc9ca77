/**
 * How long picture and voice should wait, so that what the network loses can be sent again before it is missed. Pure; shown
 * one sample a second.
 *
 * We ask the browser for the smallest delay, and a browser that only receives knows of no round trip (it would need RTCP XR):
 * by itself it would let the picture stand still for each lost packet. Where nothing is lost, nothing waits. Not here:
 * taking the samples and setting the delay (`whep.js`).
 */

/** Two round trips: what is sent again may be lost again. */
const ROUND_TRIPS = 2;

/** Until a loss is noticed, at the latest by the next picture, and until the relay and the browser have done their part. */
const NOTICE_MS = 60;

/** A lesson that is later than this is not live. */
const LONGEST_MS = 700;

/** Of the last samples so many with losses are a bad network; fewer are an accident. */
const SAMPLES = 5;
const BAD_SAMPLES = 2;

/** Without losses for so long the network is good again. */
const GOOD_SAMPLES = 20;

export class Cushion {
  /** @type {boolean[]} the newest last */
  #bad = [];
  #good = 0;
  #delay_ms = 0;

  /**
   * @param {number} requests      NACKs that this browser sent since the last sample
   * @param {number} roundTrip_ms
   */
  observe(requests, roundTrip_ms) {
    this.#bad.push(requests > 0);
    if (this.#bad.length > SAMPLES) this.#bad.shift();
    this.#good = requests > 0 ? 0 : this.#good + 1;
    if (this.#bad.filter(Boolean).length >= BAD_SAMPLES) {
      const wanted_ms = Math.min(LONGEST_MS, ROUND_TRIPS * roundTrip_ms + NOTICE_MS);
      // A round trip is a noisy figure, and each change is seen: only what is worth it.
      if (Math.abs(wanted_ms - this.#delay_ms) > NOTICE_MS) this.#delay_ms = wanted_ms;
    } else if (this.#good >= GOOD_SAMPLES) {
      this.#delay_ms = 0;
    }
  }

  /** The least delay that picture and voice should have now. */
  get delay_ms() {
    return this.#delay_ms;
  }
}
