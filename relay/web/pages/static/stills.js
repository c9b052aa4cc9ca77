/** Board pictures: a strip of them, and a dialog to read one in. */

import { clock } from "./i18n.js";
import { byId } from "./page_parts.js";

/** @typedef {import("./state.js").Still} Still */

export class Stills {
  #section = byId("stills", HTMLElement);
  #list = byId("stills-list", HTMLElement);
  #dialog = byId("viewer", HTMLDialogElement);
  #title = byId("viewer-title", HTMLElement);
  #image = byId("viewer-image", HTMLImageElement);
  #open = byId("viewer-open", HTMLAnchorElement);
  #earlier = byId("viewer-earlier", HTMLButtonElement);
  #later = byId("viewer-later", HTMLButtonElement);
  #words;
  /** @type {Still[]} oldest first */
  #stills = [];
  /** @type {string | null} the one in the dialog */
  #shown = null;

  /** @param {import("./words.js").Words} words */
  constructor(words) {
    this.#words = words;
    byId("viewer-close", HTMLButtonElement).addEventListener("click", () => this.#dialog.close());
    this.#earlier.addEventListener("click", () => this.#step(-1));
    this.#later.addEventListener("click", () => this.#step(1));
    this.#dialog.addEventListener("keydown", ({ key }) => {
      if (key === "ArrowLeft") this.#step(-1);
      if (key === "ArrowRight") this.#step(1);
    });
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
  }

  /** @param {readonly Still[]} stills */
  draw(stills) {
    this.#stills = [...stills].sort((one, other) => one.taken_unix_ms - other.taken_unix_ms);
    this.#section.hidden = stills.length === 0;
    const newestFirst = [...this.#stills].reverse();
    const known = new Map([...this.#list.children].map((item) => [item.getAttribute("data-url"), item]));
    const items = newestFirst.map((still) => this.#label(known.get(still.url) ?? this.#item(still), still));
    if (items.some((item, place) => item !== this.#list.children[place]) || items.length < known.size) {
      this.#list.replaceChildren(...items);
    }
    if (this.#dialog.open) this.#drawDialog();
  }

  /** @param {Still} still */
  #item(still) {
    const item = document.createElement("li");
    item.dataset["url"] = still.url;
    const link = document.createElement("a");
    link.href = still.url;
    const image = new Image();
    image.loading = "lazy";
    image.decoding = "async";
    image.src = still.url;
    link.append(image, document.createElement("time"));
    link.addEventListener("click", (event) => {
      // With a modifier the browser opens its own tab, as for any link.
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.#show(still.url);
    });
    item.append(link);
    return item;
  }

  /**
   * @param {Element} item
   * @param {Still} still
   */
  #label(item, still) {
    const time = clock(this.#words.language, still.taken_unix_ms);
    const image = item.querySelector("img");
    const label = item.querySelector("time");
    if (image) image.alt = this.#words.say("stills.item", { time });
    if (label) {
      label.textContent = time;
      label.dateTime = new Date(still.taken_unix_ms).toISOString();
      label.setAttribute("aria-hidden", "true");
    }
    return item;
  }

  /** @param {string} url */
  #show(url) {
    this.#shown = url;
    this.#drawDialog();
    this.#dialog.showModal();
  }

  /** @param {number} by */
  #step(by) {
    const still = this.#stills[this.#place() + by];
    if (still === undefined) return;
    this.#shown = still.url;
    this.#drawDialog();
  }

  #place() {
    return this.#stills.findIndex(({ url }) => url === this.#shown);
  }

  #drawDialog() {
    const place = this.#place();
    const still = this.#stills[place];
    if (still === undefined) {
      this.#dialog.close();
      return;
    }
    const time = clock(this.#words.language, still.taken_unix_ms);
    const title = this.#words.say("stills.item", { time });
    this.#title.textContent = title;
    this.#image.alt = title;
    if (this.#image.getAttribute("src") !== still.url) this.#image.src = still.url;
    this.#open.href = still.url;
    this.#earlier.disabled = place === 0;
    this.#later.disabled = place === this.#stills.length - 1;
  }
}
