/** Asks a pupil who comes into a running lesson whether to see it from its beginning. Once a lesson; never in the way. */

import { byId } from "./page_parts.js";
import { stoppedAt } from "./resume.js";
import { lateOffer } from "./source.js";
import { digits } from "./timeline.js";

export class LateOffer {
  #offer = byId("offer", HTMLElement);
  #text = byId("offer-text", HTMLElement);
  #begin = byId("offer-begin", HTMLButtonElement);
  #watching;
  #words;
  /** @type {string | null} the lesson that was decided about */
  #lesson = null;
  /** @type {number | null} the moment that is offered */
  #start_s = null;
  #late_s = 0;

  /** @param {{watching: import("./watching.js").Watching, words: import("./words.js").Words}} parts */
  constructor({ watching, words }) {
    this.#watching = watching;
    this.#words = words;
    this.#begin.addEventListener("click", () => this.#choose(true));
    byId("offer-now", HTMLButtonElement).addEventListener("click", () => this.#choose(false));
  }

  /** @param {import("./state.js").Kind} kind  what the pupil is told */
  draw(kind) {
    const { running, mode, at } = this.#watching;
    if (running === null) this.#start_s = null;
    // The relay's first word on the lesson decides: whoever was here by then is not late.
    if (running !== null && running.id !== this.#lesson && running.duration_s > 0) {
      this.#lesson = running.id;
      this.#late_s = running.duration_s;
      this.#start_s = mode === "recorded" ? null : lateOffer(running.duration_s, stoppedAt(running.id));
    }
    if (mode === "recorded") this.#start_s = null;
    this.#offer.hidden = this.#start_s === null || at === null || kind === "gone";
    if (this.#start_s === null) return;
    const minutes = Math.round(this.#late_s / 60);
    this.#text.textContent = this.#words.say("offer.text", { minutes });
    const label = this.#start_s > 0 ? this.#words.say("offer.resume", { time: digits(this.#start_s) }) : this.#words.say("offer.begin");
    this.#begin.textContent = label;
  }

  /** @param {boolean} fromThere */
  #choose(fromThere) {
    const start_s = this.#start_s;
    this.#start_s = null;
    this.#offer.hidden = true;
    byId("stage", HTMLElement).focus({ preventScroll: true });
    if (fromThere && start_s !== null) this.#watching.seek(start_s);
  }
}
