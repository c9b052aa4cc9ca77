/** The class's recorded lessons under the stage: when, how long, the board, where one stopped; to watch or to keep. */

import { clock, day, spokenLength } from "./i18n.js";
import { byId } from "./page_parts.js";
import { stoppedAt } from "./resume.js";
import { digits, missing_s } from "./timeline.js";

/** @typedef {import("./lessons.js").RecordedLesson} RecordedLesson */

export class Replays {
  #section = byId("replays", HTMLElement);
  #list = byId("replays-list", HTMLElement);
  #link = byId("to-replays", HTMLAnchorElement);
  #words;
  #onWatch;
  /** @type {readonly RecordedLesson[]} newest first */
  #lessons = [];

  /**
   * @param {import("./words.js").Words} words
   * @param {(lesson: RecordedLesson) => void} onWatch
   */
  constructor(words, onWatch) {
    this.#words = words;
    this.#onWatch = onWatch;
  }

  /** @param {readonly RecordedLesson[]} lessons */
  hear(lessons) {
    this.#lessons = lessons;
  }

  /**
   * @param {{running: string | null, playing: string | null, covered: boolean}} now  ids of lessons
   */
  draw({ running, playing, covered }) {
    const shown = this.#lessons.filter(({ id, duration_s }) => id !== running && duration_s > 0);
    this.#section.hidden = shown.length === 0;
    this.#link.hidden = shown.length === 0 || !covered;
    const known = new Map([...this.#list.children].map((item) => [item.getAttribute("data-id"), item]));
    const items = shown.map((lesson) => this.#fill(known.get(lesson.id) ?? this.#item(lesson.id), lesson, playing));
    if (items.some((item, place) => item !== this.#list.children[place]) || items.length < known.size) {
      this.#list.replaceChildren(...items);
    }
  }

  /** @param {string} id */
  #item(id) {
    const template = byId("replay-item", HTMLTemplateElement).content.firstElementChild;
    const item = /** @type {HTMLElement} */ (template?.cloneNode(true));
    item.dataset["id"] = id;
    part(item, ".watch").addEventListener("click", () => {
      const lesson = this.#lessons.find((one) => one.id === id);
      if (lesson) this.#onWatch(lesson);
    });
    return item;
  }

  /**
   * @param {Element} item
   * @param {RecordedLesson} lesson
   * @param {string | null} playing
   */
  #fill(item, lesson, playing) {
    const { language } = this.#words;
    this.#fillBoard(item, lesson);
    write(part(item, ".day"), day(language, lesson.started_unix_ms));
    write(part(item, ".length"), `${clock(language, lesson.started_unix_ms)} · ${spokenLength(language, lesson.duration_s)}`);
    write(part(item, ".more"), this.#more(lesson, playing));
    const stopped_s = stoppedAt(lesson.id) ?? 0;
    const seen = part(item, ".seen");
    seen.hidden = stopped_s === 0;
    seen.style.setProperty("--seen", `${Math.min(100, (100 * stopped_s) / lesson.duration_s)}%`);
    if (lesson.id === playing) item.setAttribute("aria-current", "true");
    else item.removeAttribute("aria-current");
    const download = part(item, ".download");
    if (download instanceof HTMLAnchorElement) download.href = lesson.download;
    const label = this.#words.say("replays.download", { day: day(language, lesson.started_unix_ms) });
    download.setAttribute("aria-label", label);
    download.title = label;
    return item;
  }

  /**
   * @param {Element} item
   * @param {RecordedLesson} lesson
   */
  #fillBoard(item, { thumbnail }) {
    const image = part(item, "img");
    image.hidden = thumbnail === null;
    part(item, ".no-board").toggleAttribute("hidden", thumbnail !== null);
    if (thumbnail !== null && image.getAttribute("src") !== thumbnail) image.setAttribute("src", thumbnail);
  }

  /**
   * @param {RecordedLesson} lesson
   * @param {string | null} playing
   */
  #more({ id, gaps, complete }, playing) {
    const stopped_s = stoppedAt(id);
    const lacking_s = missing_s(gaps);
    const parts = [];
    if (id === playing) parts.push(this.#words.say("replays.playing"));
    else if (stopped_s !== null) parts.push(this.#words.say("replays.resume", { time: digits(stopped_s) }));
    if (!complete) parts.push(this.#words.say("replays.arriving"));
    if (lacking_s >= 1) parts.push(this.#words.say("replays.gaps", { length: spokenLength(this.#words.language, lacking_s) }));
    return parts.join(" · ");
  }
}

/**
 * @param {Element} item
 * @param {string} selector
 * @returns {HTMLElement}
 */
function part(item, selector) {
  const found = item.querySelector(selector);
  if (!(found instanceof HTMLElement)) throw new TypeError(`page.html's replay has no ${selector}`);
  return found;
}

/**
 * @param {HTMLElement} element
 * @param {string} text
 */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
