/**
 * The time line over the picture, and what belongs to it: 10 s back, play and pause, the pace, the way back to live.
 *
 * Not here: what these do (`watching.js`).
 */

import { say, spokenTime } from "./i18n.js";
import { byId } from "./page_parts.js";
import { digits, isInGap } from "./timeline.js";

/** The clock's hands move this often. */
const DRAW_EVERY_MS = 500;

const BACK_S = 10;

/** What keys do on the slider, in seconds. A lesson has thousands of them: the browser's own step is too small. */
const STEPS_S = /** @type {Readonly<Record<string, number>>} */ ({
  ArrowLeft: -10,
  ArrowDown: -10,
  ArrowRight: 10,
  ArrowUp: 10,
  PageDown: -60,
  PageUp: 60,
  Home: -Infinity,
  End: Infinity,
});

/** Keys that repeat while they are held down: the jump waits until the hand has come to rest. */
const REST_MS = 250;

/** Server states in which there is something to rewind to. */
const REWINDS = new Set(["starting", "live", "reconnecting", "curtain"]);

export class TimelineBar {
  #stage = byId("stage", HTMLElement);
  #line = byId("line", HTMLElement);
  #slider = byId("timeline", HTMLInputElement);
  #gaps = byId("gaps", HTMLElement);
  #time = byId("time", HTMLElement);
  #play = byId("play", HTMLButtonElement);
  #back = byId("back", HTMLButtonElement);
  #speed = byId("speed", HTMLSelectElement);
  #toLive = byId("to-live", HTMLButtonElement);
  #toLiveLabel = byId("to-live-label", HTMLElement);
  #tag = byId("recorded-tag", HTMLElement);
  #watching;
  #player;
  #words;
  /** @type {number | null} where the hand is that has not let go yet */
  #held_s = null;
  #rest = 0;
  /** @type {import("./state.js").ClassState["state"] | null} */
  #state = null;
  #gone = false;

  /**
   * @param {{watching: import("./watching.js").Watching, player: import("./player.js").Player, words: import("./words.js").Words}} parts
   */
  constructor({ watching, player, words }) {
    this.#watching = watching;
    this.#player = player;
    this.#words = words;
    this.#slider.addEventListener("input", () => this.#hold(Number(this.#slider.value)));
    this.#slider.addEventListener("change", () => this.#letGo());
    this.#slider.addEventListener("keydown", (event) => this.#onKey(event));
    this.#slider.addEventListener("focus", () => this.#speak());
    this.#back.addEventListener("click", () => watching.step(-BACK_S));
    this.#play.addEventListener("click", () => watching.togglePause());
    this.#speed.addEventListener("change", () => this.#onSpeed());
    this.#toLive.addEventListener("click", () => this.#onToLive());
    setInterval(() => this.#drawTime(), DRAW_EVERY_MS);
  }

  /**
   * @param {import("./state.js").ClassState["state"] | null} state
   * @param {boolean} gone  the link opens nothing any more
   */
  draw(state, gone) {
    this.#state = state;
    this.#gone = gone;
    const { mode, running, isRunning, rate } = this.#watching;
    const plays = mode === "recorded";
    this.#play.hidden = this.#speed.hidden = !plays;
    const pace = new Intl.NumberFormat(this.#words.language);
    for (const option of this.#speed.options) option.textContent = `${pace.format(Number(option.value))}×`;
    this.#speed.value = String(rate);
    const label = this.#words.say(this.#player.paused ? "replay.play" : "replay.pause");
    this.#play.setAttribute("aria-label", label);
    this.#play.title = label;
    byId("play-icon", SVGUseElement).setAttribute("href", this.#player.paused ? "#icon-play" : "#icon-pause");
    this.#toLive.hidden = !plays;
    this.#toLive.dataset["live"] = String(running !== null);
    this.#toLiveLabel.textContent = this.#words.say(running !== null ? "replay.to_live" : "replay.leave");
    this.#toLive.setAttribute("aria-label", this.#words.say(running !== null ? "replay.to_live_name" : "replay.leave_name"));
    this.#stage.dataset["paused"] = String(this.#player.paused);
    this.#stage.dataset["watching"] = mode;
    this.#tag.hidden = mode === "live";
    this.#tag.dataset["live"] = String(isRunning);
    this.#drawTime();
  }

  #drawTime() {
    const { mode, at } = this.#watching;
    const shown = at !== null && !this.#gone && (mode !== "live" || (this.#state !== null && REWINDS.has(this.#state)));
    this.#line.hidden = this.#back.hidden = this.#time.hidden = !shown;
    this.#stage.dataset["timeline"] = String(shown);
    if (!shown) return;
    const position_s = this.#held_s ?? at.position_s;
    this.#slider.max = String(Math.max(1, at.end_s));
    if (this.#held_s === null) this.#slider.value = String(position_s);
    this.#line.style.setProperty("--played", `${percent(position_s, at.end_s)}%`);
    this.#time.textContent = this.#digits(position_s, at.end_s);
    this.#tag.textContent = this.#tagText(at);
    this.#drawGaps(at);
    // Whoever has the focus here hears the value when it is asked for or changed, not twice a second.
    if (document.activeElement !== this.#slider) this.#speak();
  }

  /**
   * @param {number} position_s
   * @param {number} end_s
   */
  #digits(position_s, end_s) {
    const isLive = this.#watching.mode === "live" && this.#held_s === null;
    return isLive ? digits(end_s) : `${digits(position_s)} / ${digits(end_s)}`;
  }

  /** @param {{position_s: number, end_s: number}} at */
  #tagText({ position_s, end_s }) {
    const { mode, isRunning } = this.#watching;
    if (mode === "delayed") return this.#words.say("tag.delayed");
    if (!isRunning) return this.#words.say("tag.replay");
    return this.#words.say("tag.behind", { time: digits(end_s - position_s) });
  }

  /** @param {{end_s: number, gaps: readonly import("./timeline.js").Gap[]}} at */
  #drawGaps({ end_s, gaps }) {
    while (this.#gaps.children.length > gaps.length) this.#gaps.lastElementChild?.remove();
    gaps.forEach(([from_s, to_s], place) => {
      const mark = this.#gaps.children[place] ?? this.#gaps.appendChild(document.createElement("span"));
      if (!(mark instanceof HTMLElement)) return;
      mark.style.left = `${percent(from_s, end_s)}%`;
      mark.style.width = `${percent(to_s - from_s, end_s)}%`;
    });
  }

  #speak() {
    const { mode, at } = this.#watching;
    if (at === null) return;
    const { language } = this.#words;
    const position_s = this.#held_s ?? at.position_s;
    const time = spokenTime(language, position_s);
    const whole = spokenTime(language, at.end_s);
    let text = say(language, "line.value", { time, whole });
    if (mode === "live" && this.#held_s === null) text = say(language, "tag.live");
    else if (isInGap(at.gaps, position_s)) text = say(language, "line.value_in_gap", { time, whole });
    this.#slider.setAttribute("aria-valuetext", text);
  }

  /** @param {number} position_s */
  #hold(position_s) {
    this.#held_s = position_s;
    this.#drawTime();
    this.#speak();
  }

  #letGo() {
    clearTimeout(this.#rest);
    const goal_s = this.#held_s;
    this.#held_s = null;
    if (goal_s !== null) this.#watching.seek(goal_s);
    this.#drawTime();
    this.#speak();
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const step_s = STEPS_S[event.key];
    const { at } = this.#watching;
    if (step_s === undefined || at === null || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const goal_s = Math.min(at.end_s, Math.max(0, (this.#held_s ?? at.position_s) + step_s));
    this.#slider.value = String(goal_s);
    this.#hold(goal_s);
    clearTimeout(this.#rest);
    this.#rest = window.setTimeout(() => this.#letGo(), REST_MS);
  }

  #onSpeed() {
    this.#watching.rate = Number(this.#speed.value);
  }

  #onToLive() {
    const hadFocus = document.activeElement === this.#toLive;
    this.#watching.toLive();
    // The button is gone: whoever came by keyboard goes on where the time line is, or at the lesson.
    if (hadFocus) (this.#line.hidden ? this.#stage : this.#slider).focus({ preventScroll: true });
  }
}

/**
 * @param {number} part
 * @param {number} whole
 */
function percent(part, whole) {
  return whole > 0 ? Math.min(100, (100 * part) / whole) : 0;
}
