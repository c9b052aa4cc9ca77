/** Puts the words in their places: `data-say` is text, `data-label` an accessible name. The words are in `i18n.js`. */

import { otherLanguage, pickLanguage, say } from "./i18n.js";
import { recall, remember } from "./memory.js";

/** @typedef {import("./i18n.js").Key} Key */

/** Names of the languages, each in itself. */
const NAMES = { ru: "Русский", en: "English" };

export class Words {
  #switch;
  #onChange;
  language = pickLanguage(recall("language"), document.documentElement.lang);

  /**
   * @param {HTMLElement} languageSwitch
   * @param {() => void} onChange  the language changed
   */
  constructor(languageSwitch, onChange) {
    this.#switch = languageSwitch;
    this.#onChange = onChange;
    languageSwitch.addEventListener("click", () => this.#change());
    this.#place();
  }

  /**
   * @param {Key} key
   * @param {Record<string, string | number>} [values]
   */
  say(key, values) {
    return say(this.language, key, values);
  }

  #change() {
    this.language = otherLanguage(this.language);
    remember("language", this.language);
    this.#place();
    this.#onChange();
  }

  #place() {
    document.documentElement.lang = this.language;
    const other = otherLanguage(this.language);
    this.#switch.lang = other;
    this.#switch.textContent = NAMES[other];
    for (const element of document.querySelectorAll("[data-say]")) {
      element.textContent = this.say(keyOf(element, "data-say"));
    }
    for (const element of document.querySelectorAll("[data-label]")) {
      const label = this.say(keyOf(element, "data-label"));
      element.setAttribute("aria-label", label);
      if (element.matches(".icon") && element instanceof HTMLElement) element.title = label;
    }
  }
}

/**
 * @param {Element} element
 * @param {string} attribute
 */
function keyOf(element, attribute) {
  return /** @type {Key} */ (element.getAttribute(attribute));
}
