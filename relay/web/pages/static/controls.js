/** The controls over the picture: sound, volume, full screen, the keys, and hiding them while nobody reaches for them. */

import { byId } from "./page_parts.js";
import { recall, remember } from "./memory.js";
import { canFillScreen, toggleFullScreen } from "./screen.js";

/** A hand that has rested this long does not need the controls. */
const IDLE_MS = 3000;

/** What is told before there is a picture, while there may be a voice already. */
const HEARD = new Set(["arriving", "voice", "spared", "spared_chosen"]);

/**
 * @typedef {object} Controlled
 * @property {import("./player.js").Player} player
 * @property {import("./words.js").Words} words
 */

export class Controls {
  #stage = byId("stage", HTMLElement);
  #video = byId("video", HTMLVideoElement);
  #soundOn = byId("sound-on", HTMLButtonElement);
  #soundLabel = byId("sound-on-label", HTMLElement);
  #ready = byId("sound-ready", HTMLElement);
  #mute = byId("mute", HTMLButtonElement);
  #volume = byId("volume", HTMLInputElement);
  #full = byId("full", HTMLButtonElement);
  #keys = byId("keys", HTMLInputElement);
  #player;
  #words;
  #idle = 0;

  /** @param {Controlled} controlled */
  constructor({ player, words }) {
    this.#player = player;
    this.#words = words;
    this.#soundOn.addEventListener("click", () => this.#turnSoundOn());
    this.#mute.addEventListener("click", () => this.#toggleSound());
    this.#volume.addEventListener("input", () => (player.volume = Number(this.#volume.value) / 100));
    this.#full.addEventListener("click", () => this.#toggleScreen());
    this.#stage.addEventListener("dblclick", (event) => this.#onDoubleClick(event));
    document.addEventListener("fullscreenchange", () => this.#drawScreen());
    this.#keys.checked = recall("keys") !== "off";
    this.#keys.addEventListener("change", () => remember("keys", this.#keys.checked ? "on" : "off"));
    document.addEventListener("keydown", (event) => this.#onKey(event));
    for (const name of ["pointermove", "pointerdown", "keydown", "focusin"]) {
      this.#stage.addEventListener(name, () => this.#stir());
    }
    this.#stir();
  }

  /** @param {import("./state.js").View} view */
  draw(view) {
    const { sound, volume } = this.#player;
    const inAdvance = view.covered && !HEARD.has(view.kind);
    this.#soundOn.hidden = sound || !view.sound;
    this.#soundLabel.textContent = this.#words.say(inAdvance ? "sound.in_advance" : "sound.turn_on");
    this.#ready.hidden = !(sound && (view.kind === "waiting" || view.kind === "connecting"));
    this.#mute.hidden = !sound || !view.sound;
    this.#volume.hidden = this.#mute.hidden || !this.#player.canSetVolume;
    this.#volume.value = String(Math.round(100 * volume));
    this.#full.hidden = view.kind === "gone" || !canFillScreen(this.#stage, this.#video);
    this.#drawScreen();
  }

  #turnSoundOn() {
    const hadFocus = document.activeElement === this.#soundOn;
    this.#player.turnSoundOn();
    // The button is about to vanish: whoever came by keyboard goes on at its successor.
    this.#mute.hidden = false;
    if (hadFocus) this.#mute.focus({ preventScroll: true });
  }

  #toggleSound() {
    if (this.#player.sound) {
      const hadFocus = document.activeElement === this.#mute;
      this.#player.turnSoundOff();
      this.#soundOn.hidden = false;
      if (hadFocus) this.#soundOn.focus({ preventScroll: true });
    } else this.#turnSoundOn();
  }

  #toggleScreen() {
    void toggleFullScreen(this.#stage, this.#video);
  }

  #drawScreen() {
    const isFull = document.fullscreenElement !== null;
    const label = this.#words.say(isFull ? "screen.normal" : "screen.full");
    this.#full.setAttribute("aria-label", label);
    this.#full.title = label;
    byId("full-icon", SVGUseElement).setAttribute("href", isFull ? "#icon-normal" : "#icon-full");
  }

  /** @param {MouseEvent} event */
  #onDoubleClick(event) {
    if (event.target instanceof Element && event.target.closest("button, input") === null) this.#toggleScreen();
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    document.documentElement.dataset["keyboard"] = "seen";
    const chord = event.ctrlKey || event.altKey || event.metaKey;
    const elsewhere = event.defaultPrevented || document.querySelector("dialog[open]") !== null;
    if (chord || event.repeat || elsewhere || !this.#keys.checked) return;
    // By position, so that M and F work in the Russian layout too.
    if (event.code === "KeyM") this.#toggleSound();
    if (event.code === "KeyF") this.#toggleScreen();
  }

  #stir() {
    this.#stage.dataset["idle"] = "false";
    clearTimeout(this.#idle);
    this.#idle = window.setTimeout(() => (this.#stage.dataset["idle"] = "true"), IDLE_MS);
  }
}
