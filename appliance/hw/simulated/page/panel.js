// The simulated kit's panel: shows what the kit says (/events), and sends what hands do (/panel/buttons/…).
// It decides nothing: what a press means, and when a hold has been long enough, is the kit's to say.

import { preferred, say } from "./words.js";

/**
 * @typedef {import("./words.js").Word} Word
 * @typedef {import("./words.js").Language} Language
 * @typedef {"start" | "curtain" | "still"} Button
 * @typedef {[colour: string | null, ms: number]} Beat
 * @typedef {object} Link
 * @property {"up" | "down" | "not_enrolled"} control
 * @property {string} relay
 * @property {string | null} class_path
 * @property {number | null} viewers
 * @property {number | null} viewers_receiving
 * @property {number | null} rtt_ms
 * @property {number | null} loss
 * @property {number | null} bitrate_kbps
 * @property {number} reconnects
 * @property {number} waiting_s
 * @property {boolean} relay_full
 * @typedef {object} Status
 * @property {string} state
 * @property {string} tally
 * @property {{colours: string[], rhythm: string, beats: Beat[]}} lamp
 * @property {number} hold
 * @property {"end" | "shut_down" | null} hold_for
 * @property {{id: string, started_unix_us: number, elapsed_s: number} | null} lesson
 * @property {{key: string, reason: string} | null} fault
 * @property {boolean} voiceless
 * @property {"on" | "lost" | "off" | null} recording
 * @property {{key: string, reason: string} | null} notice
 * @property {{warnings: string[]}} health
 * @property {{level_dbfs: number, peak_dbfs: number, warning: string | null, device: string} | null} sound
 * @property {Link} link
 */

const LOOK_AGAIN_MS = 2000;
const FADE_MS = 90; // an LED behind a diffuser is not a square wave

/** @template {Element} T @param {string} selector @param {new () => T} type @returns {T} */
function one(selector, type) {
  const found = document.querySelector(selector);
  if (!(found instanceof type)) throw new Error(`the page lacks ${selector}`);
  return found;
}

/** @param {string} selector @returns {HTMLElement[]} */
const all = (selector) => [...document.querySelectorAll(selector)].filter((e) => e instanceof HTMLElement);

const headline = one("#headline", HTMLElement);
const sentence = one("#sentence", HTMLElement);
const trouble = one("#trouble", HTMLElement);
const elapsed = one("#elapsed", HTMLElement);
const pupils = one("#pupils", HTMLAnchorElement);
const ring = one(".ring .left", SVGCircleElement);
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

let language = preferred();
/** @type {Status | null} */
let status = null;
/** What the page knows when the kit says nothing. @type {"waiting" | "gone" | "off"} */
let silence = "waiting";

/** @param {Word} word */
const t = (word) => say(language, word);

/** @param {string} key */
const worded = (key) => t(/** @type {Word} */ (key));

// ---- what the kit says ----

function listen() {
  const events = new EventSource("/events");
  events.addEventListener("status", (event) => {
    status = JSON.parse(event.data);
    show();
  });
  events.addEventListener("off", () => lost(events, "off"));
  events.addEventListener("error", () => lost(events, silence === "off" ? "off" : "gone"));
}

/** @param {EventSource} events @param {"gone" | "off"} why */
function lost(events, why) {
  events.close();
  status = null;
  silence = why;
  show();
  setTimeout(listen, LOOK_AGAIN_MS);
}

function show() {
  const state = status?.state ?? silence;
  document.body.dataset.state = state;
  document.body.dataset.tally = status?.tally ?? "off";
  showWords(state);
  showHold();
  showLamp(status?.lamp.beats ?? [[null, 1000]]);
  showNotice();
  showWarnings();
  showLesson();
  showLink();
}

/** @param {string} state */
function showWords(state) {
  const holding = status?.hold_for && status.hold > 0 ? `hold_${status.hold_for}` : null;
  put(headline, worded(`head_${holding ?? nowhere(state) ?? state}`));
  put(sentence, holding ? worded(`say_${holding}`) : why(state));
  const reason = holding ? null : (status?.fault?.reason ?? soundTrouble());
  trouble.hidden = !reason;
  put(trouble, reason ?? "");
  document.title = `${worded(`head_${nowhere(state) ?? state}`)} – ${t("name")}`;
}

/** A lesson that is neither live nor recorded is at fault, too. @param {string} state */
function nowhere(state) {
  const unrecorded = status?.recording === "lost" || status?.recording === "off";
  return state === "fault" && unrecorded ? "nowhere" : null;
}

/** @param {string} state */
function why(state) {
  const alone = state === "live" && status?.link.viewers === 0;
  const stranger = status?.link.control === "not_enrolled" && ["idle", "starting", "degraded"].includes(state);
  if (stranger) return t("say_not_enrolled");
  if (nowhere(state)) return t("say_nowhere");
  if (state === "live" && status?.recording === "lost") return t("say_live_unrecorded");
  const voiceless = state === "live" && status?.voiceless;
  return worded(`say_${state}${alone ? "_alone" : ""}${voiceless ? "_voiceless" : ""}`);
}

function showNotice() {
  const line = one("#notice", HTMLElement);
  const notice = status?.notice;
  line.hidden = !notice;
  const what = notice ? (worded(`notice_${notice.key}`) ?? t("notice")) : "";
  put(line, notice ? `${what} ${notice.reason}` : "");
}

function showWarnings() {
  const list = one("#warnings", HTMLElement);
  const said = (status?.health.warnings ?? []).map((warning) => worded(`warn_${warning}`)).filter(Boolean);
  list.hidden = said.length === 0;
  while (list.children.length > said.length) list.lastElementChild?.remove();
  while (list.children.length < said.length) list.append(document.createElement("li"));
  said.forEach((text, at) => put(/** @type {HTMLElement} */ (list.children[at]), text));
}

/** What is plainly wrong with the voice; a newer kit may know more than this page. */
function soundTrouble() {
  const warning = status?.sound?.warning;
  return warning === "silent" || warning === "clipping" ? t(`sound_${warning}`) : null;
}

function showHold() {
  const shown = status !== null && status.hold_for !== null && status.hold > 0;
  document.body.classList.toggle("holding", shown);
  ring.style.strokeDashoffset = String(status?.hold ?? 0); // what is left of the ring
}

function showLesson() {
  elapsed.hidden = !status?.lesson;
  if (status?.lesson) put(one("#elapsed time", HTMLElement), clock(status.lesson.elapsed_s));
  const closed = status?.state === "curtain";
  one('[data-button="curtain"]', HTMLElement).setAttribute("aria-pressed", String(closed));
}

function showLink() {
  const link = status?.link;
  pupils.hidden = !link?.class_path;
  if (link?.class_path) pupils.href = new URL(link.class_path, link.relay).href;
  const number = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
  /** @param {number | null | undefined} value @param {string} [unit] */
  const figure = (value, unit = "") => (value == null ? "—" : `${number.format(value)}${unit && ` ${unit}`}`);
  const some = link?.viewers && link.viewers_receiving !== link.viewers;
  const receiving = some ? ` · ${figure(link.viewers_receiving)} ${t("receiving")}` : "";
  const figures = {
    watching: `${figure(link?.viewers)}${receiving}`,
    relay: link ? worded(`control_${link.control}`) : "—",
    rtt: figure(link?.rtt_ms, t("ms")),
    loss: figure(link?.loss == null ? null : link.loss * 100, "%"),
    bitrate: figure(link?.bitrate_kbps, t("kbps")),
    reconnects: figure(link?.reconnects),
    to_upload: link ? `${clock(link.waiting_s)}${link.relay_full ? ` · ${t("relay_full")}` : ""}` : "—",
    microphone: figure(status?.sound?.level_dbfs, t("dbfs")),
    lamp: lampWords(),
  };
  for (const [id, text] of Object.entries(figures)) put(one(`#${id}`, HTMLElement), text);
}

function lampWords() {
  if (!status) return t("rhythm_off");
  const colours = status.lamp.colours.map((colour) => worded(`colour_${colour}`)).join("–");
  return [colours, worded(`rhythm_${status.lamp.rhythm}`)].filter(Boolean).join(", ");
}

/** @param {number} seconds */
function clock(seconds) {
  const two = (/** @type {number} */ n) => String(Math.floor(n)).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  return `${hours ? `${hours}:` : ""}${two((seconds % 3600) / 60)}:${two(seconds % 60)}`;
}

/** Write only what changed: a live region repeats what is written. @param {HTMLElement} element @param {string} text */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// ---- the lamp ----

let playing = "";

/** @param {Beat[]} beats */
function showLamp(beats) {
  const score = JSON.stringify([beats, stillness.matches]);
  if (score === playing) return;
  playing = score;
  const colours = new Set(beats.map(([colour]) => colour).filter((colour) => colour !== null));
  document.body.classList.toggle("halves", stillness.matches && colours.size > 1);
  for (const glow of all(".lamp [data-colour]")) play(glow, beats);
}

/** @param {HTMLElement} glow @param {Beat[]} beats */
function play(glow, beats) {
  glow.getAnimations().forEach((animation) => animation.cancel());
  const mine = glow.dataset.colour ?? null;
  glow.style.opacity = beats.some(([colour]) => colour === mine) ? "1" : "0";
  if (beats.length < 2 || stillness.matches) return;
  const whole = beats.reduce((sum, [, ms]) => sum + ms, 0);
  let at = 0;
  /** @type {Keyframe[]} */
  const frames = [];
  for (const [colour, ms] of beats) {
    const opacity = colour === mine ? 1 : 0;
    frames.push({ offset: (at + FADE_MS / 2) / whole, opacity }, { offset: (at + ms - FADE_MS / 2) / whole, opacity });
    at += ms;
  }
  const first = beats.at(0)?.[0] === mine ? 1 : 0;
  const last = beats.at(-1)?.[0] === mine ? 1 : 0;
  const seam = (first + last) / 2;
  glow.animate([{ offset: 0, opacity: seam }, ...frames, { offset: 1, opacity: seam }], {
    duration: whole,
    iterations: Infinity,
  });
}

// ---- hands ----

/** Edges go out one after another, so that a release never overtakes its press. @type {Promise<unknown>} */
let sent = Promise.resolve();

/** @param {Button} button @param {"press" | "release"} edge */
function send(button, edge) {
  const post = () => fetch(`/panel/buttons/${button}/${edge}`, { method: "POST", keepalive: true });
  sent = sent.then(post, post).catch(() => undefined); // an unreachable kit is told by the lost event stream
}

/** @param {HTMLElement} cap */
function wire(cap) {
  const button = /** @type {Button} */ (cap.dataset.button);
  let down = false;
  /** @param {boolean} pressed */
  const set = (pressed) => {
    if (pressed === down) return;
    down = pressed;
    cap.classList.toggle("down", pressed);
    send(button, pressed ? "press" : "release");
  };
  const keys = new Set([" ", "Enter"]);
  let byHand = false;
  cap.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    byHand = true;
    cap.setPointerCapture(event.pointerId);
    set(true);
  });
  for (const over of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) {
    cap.addEventListener(over, () => set(false));
  }
  cap.addEventListener("keydown", (event) => {
    if (!keys.has(event.key)) return;
    event.preventDefault(); // no scrolling, and no click that would press again
    if (!event.repeat) set(true);
  });
  cap.addEventListener("keyup", (event) => {
    if (!keys.has(event.key)) return;
    event.preventDefault();
    set(false);
  });
  cap.addEventListener("click", () => {
    if (!byHand) [true, false].forEach(set); // a screen reader's "activate" comes as a click alone
    byHand = false;
  });
  cap.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch is a hold here
  addEventListener("pagehide", () => set(false));
}

// ---- languages ----

/** @param {Language} chosen */
function speak(chosen) {
  language = chosen;
  document.documentElement.lang = chosen;
  for (const element of all("[data-word]")) put(element, worded(element.dataset.word ?? ""));
  for (const element of all("[data-label]")) element.setAttribute("aria-label", worded(element.dataset.label ?? ""));
  for (const choice of all("[data-language]")) {
    choice.setAttribute("aria-pressed", String(choice.dataset.language === chosen));
  }
  show();
}

for (const choice of all("[data-language]")) {
  choice.addEventListener("click", () => {
    const chosen = /** @type {Language} */ (choice.dataset.language);
    history.replaceState(null, "", `?lang=${chosen}`);
    speak(chosen);
  });
}
all("[data-button]").forEach(wire);
stillness.addEventListener("change", show);
speak(language);
listen();
