// The setup page: shows what the kit says (/api/events), and sends what the person wants. It keeps nothing.

import { showFindings } from "./checks.js";
import { CropFrame } from "./crop.js";
import { preferred, say } from "./words.js";

/**
 * @typedef {import("./words.js").Language} Language
 * @typedef {object} Sound
 * @property {number} level_dbfs
 * @property {number} peak_dbfs
 * @property {string} device
 * @property {string} verdict
 * @typedef {object} Status
 * @property {string} state
 * @property {string} version
 * @property {{school: string, room: string, class: string} | null} enrolment
 * @property {{url: string, control: string}} relay
 * @property {{kind: string, trouble: string}} camera
 * @property {number[]} crop
 * @property {boolean} voiceless
 * @property {Sound | null} sound
 * @property {{running: boolean, findings: import("./checks.js").Finding[]}} checks
 * @property {{key: string, reason: string} | null} notice
 * @property {string[]} warnings
 */

const LOOK_AGAIN_MS = 2000;
/** What is no trouble. */
const GOOD = new Set(["", "look_wait", "crop_saved", "checking", "checked_ok", "enrolling", "enrolled"]);
const FLOOR_DBFS = -72; // the meter's left end: below is a silent room

/** @template {Element} T @param {string} selector @param {new () => T} type @returns {T} */
function one(selector, type) {
  const found = document.querySelector(selector);
  if (!(found instanceof type)) throw new Error(`the page lacks ${selector}`);
  return found;
}

/** @param {string} selector @returns {HTMLElement[]} */
const all = (selector) => [...document.querySelectorAll(selector)].filter((e) => e instanceof HTMLElement);
const at = (/** @type {string} */ selector) => one(selector, HTMLElement);
const input = (/** @type {string} */ selector) => one(selector, HTMLInputElement);

let language = preferred();
/** @type {Status | null} */
let status = null;
/** What each place said last, as keys, so that it is said in the other language, too. @type {Map<string, [string, string]>} */
const told = new Map();

const t = (/** @type {string} */ key) => say(language, key);

/** Write only what changed: a live region repeats what is written. @param {Element} element @param {string} text */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {string} place @param {string} key @param {string} [more] a number for the words, or the kit's own words */
function tell(place, key, more = "") {
  told.set(place, [key, more]);
  const words = t(key).replace("{s}", more);
  at(place).dataset.good = String(GOOD.has(key) && !(key === "" && more));
  put(at(place), words || more);
}

// ---- the kit ----

/** @param {string} method @param {string} path @param {unknown} [body] */
function ask(method, path, body) {
  if (body === undefined) return fetch(path, { method });
  return fetch(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

/** Why it was refused. @param {Response} response @returns {Promise<{why: string, told: string, wait_s: number}>} */
async function refusal(response) {
  if (response.status === 401) outside("out");
  try {
    return await response.json();
  } catch {
    return { why: "gone", told: "", wait_s: 0 };
  }
}

/** @type {EventSource | null} */
let events = null;

function listen() {
  events?.close();
  events = new EventSource("/api/events");
  events.addEventListener("status", (event) => {
    inside();
    status = JSON.parse(event.data);
    show();
  });
  events.addEventListener("out", () => outside("out"));
  events.addEventListener("error", () => void lost());
}

async function lost() {
  events?.close();
  try {
    const answer = await ask("GET", "/api/status");
    if (answer.status === 401) return outside(document.body.dataset.view === "inside" ? "out" : "");
  } catch {
    tell("#state", "gone");
  }
  setTimeout(listen, LOOK_AGAIN_MS);
}

function inside() {
  if (document.body.dataset.view === "inside") return;
  document.body.dataset.view = "inside";
  at("#look").focus();
}

/** @param {string} why */
function outside(why) {
  events?.close();
  status = null;
  looking = false;
  document.body.dataset.view = "outside";
  tell("#door-said", why);
  input("#pin").focus();
}

// ---- the door ----

one("#door", HTMLFormElement).addEventListener("submit", async (event) => {
  event.preventDefault();
  const pin = input("#pin");
  try {
    const answer = await ask("POST", "/api/session", { pin: pin.value });
    if (answer.ok) {
      pin.value = "";
      tell("#door-said", "");
      return listen();
    }
    const { why, wait_s } = await refusal(answer);
    tell("#door-said", why, String(wait_s));
  } catch {
    tell("#door-said", "gone");
  }
  pin.select();
});

at("#leave").addEventListener("click", async () => {
  await ask("DELETE", "/api/session").catch(() => undefined);
  outside("");
});

// ---- what it says ----

function show() {
  if (!status) return;
  tell("#state", `state_${status.state}`);
  put(at("#room"), status.enrolment ? `${t("room")} ${status.enrolment.room}` : "");
  showWarnings(status);
  showPreview(status);
  showVoice(status);
  showChecks(status);
  put(at("#at-room"), status.enrolment?.room ?? "—");
  put(at("#at-class"), status.enrolment?.class ?? "—");
  put(at("#at-school"), status.enrolment?.school ?? "—");
  put(at("#at-relay"), `${status.relay.url} – ${t(`control_${status.relay.control}`)}`);
  const url = input("#url");
  if (!url.value && document.activeElement !== url) url.value = status.relay.url;
  put(at("#version"), status.version);
}

/** @param {Status} now */
function showWarnings(now) {
  const list = at("#warnings");
  const said = [now.notice?.reason ?? "", ...now.warnings.map((warning) => t(`warn_${warning}`))].filter(Boolean);
  list.hidden = said.length === 0;
  while (list.children.length > said.length) list.lastElementChild?.remove();
  while (list.children.length < said.length) list.append(document.createElement("li"));
  said.forEach((text, number) => put(/** @type {Element} */ (list.children[number]), text));
}

/** @param {Status} now */
function showVoice(now) {
  const { sound } = now;
  const how = now.voiceless ? "hear_voiceless" : sound ? "hear_how" : "hear_closed";
  put(at("#hear-how"), t(how));
  const share = (/** @type {number} */ dbfs) => `${Math.max(0, Math.min(100, 100 - (100 * dbfs) / FLOOR_DBFS))}%`;
  at("#level-now").style.width = sound ? share(sound.level_dbfs) : "0";
  at("#level-peak").style.left = sound ? share(sound.peak_dbfs) : "0";
  at("#level").setAttribute("aria-valuenow", String(Math.round(sound?.level_dbfs ?? -96)));
  put(at("#dbfs"), sound ? `${Math.round(sound.level_dbfs)} ${t("dbfs")}` : "—");
  at("#verdict").dataset.verdict = sound?.verdict ?? "";
  put(at("#verdict"), sound ? t(`voice_${sound.verdict}`) : "");
  put(at("#device"), sound?.device ?? "");
}

let shownChecks = "";

/** @param {Status} now */
function showChecks({ checks }) {
  const news = JSON.stringify([checks, language]);
  if (news === shownChecks) return;
  shownChecks = news;
  showFindings(at("#findings"), checks.findings, t);
  one("#check", HTMLButtonElement).disabled = checks.running;
  const done = checks.findings.every((finding) => finding.outcome === "ok") ? "checked_ok" : "checked_not";
  tell("#check-said", checks.running ? "checking" : checks.findings.length ? done : "");
}

at("#check").addEventListener("click", async () => {
  const answer = await ask("POST", "/api/checks").catch(() => null);
  if (answer && !answer.ok) await refusal(answer);
});

// ---- the camera ----

const picture = one("#picture", HTMLCanvasElement);
let looking = false;
/** Whether the person has moved the frame since it was kept. */
let drawn = false;
let best = 0;

const frame = new CropFrame(
  at("#stage"),
  at("#crop"),
  { left: input("#crop-left"), top: input("#crop-top"), size: input("#crop-size") },
  () => {
    drawn = true;
    tell("#crop-said", "");
  },
);

/** @param {Status} now */
function showPreview(now) {
  at("#finder").hidden = !looking;
  const button = at("#open");
  button.setAttribute("aria-pressed", String(looking));
  put(button, t(looking ? "look_close" : "look_open"));
  at("#crop-ignored").hidden = now.camera.kind === "picamera2";
  if (!drawn) frame.set(now.crop);
  if (looking && now.camera.trouble) tell("#look-said", "", now.camera.trouble);
}

at("#open").addEventListener("click", async () => {
  const wanted = !looking;
  tell("#look-said", wanted ? "look_wait" : "");
  looking = false; // until the kit agrees: what it says meanwhile must not pass for a lesson that took the camera
  const answer = await ask("PUT", "/api/preview", { open: wanted }).catch(() => null);
  if (!answer) return tell("#look-said", "gone");
  if (!answer.ok) return tell("#look-said", `look_${(await refusal(answer)).why}`);
  if (wanted) void look();
});

async function look() {
  looking = true;
  drawn = false;
  best = 0;
  at("#finder").hidden = false;
  at("#open").setAttribute("aria-pressed", "true");
  put(at("#open"), t("look_close"));
  for (let after = 0; looking; ) after = (await lookOnce(after)) ?? after;
}

/** One picture; its number, or nothing. @param {number} after */
async function lookOnce(after) {
  const answer = await fetch(`/api/preview/picture?after=${after}`).catch(() => null);
  if (!answer || answer.status >= 400) {
    if (looking) tell("#look-said", answer ? "look_left" : "gone");
    if (answer?.status === 401) outside("out");
    looking = false;
    show();
    return null;
  }
  if (answer.status !== 200 || !looking) return null;
  const bitmap = await createImageBitmap(await answer.blob());
  if (picture.width !== bitmap.width || picture.height !== bitmap.height) {
    picture.width = bitmap.width;
    picture.height = bitmap.height;
  }
  picture.getContext("2d")?.drawImage(bitmap, 0, 0);
  bitmap.close();
  if (told.get("#look-said")?.[0] === "look_wait") tell("#look-said", "");
  showSharpness(Number(answer.headers.get("X-Parta-Sharpness")));
  picture.dataset.number = answer.headers.get("X-Parta-Number") ?? "";
  return Number(picture.dataset.number);
}

/** @param {number} now */
function showSharpness(now) {
  best = Math.max(best, now);
  const scale = best * 1.15 || 1;
  put(at("#sharpness"), now.toFixed(now < 100 ? 1 : 0));
  put(at("#best"), best.toFixed(best < 100 ? 1 : 0));
  at("#sharp-now").style.width = `${(100 * now) / scale}%`;
  at("#sharp-best").style.left = `${(100 * best) / scale}%`;
}

at("#again").addEventListener("click", () => {
  best = 0;
});

at("#crop-whole").addEventListener("click", () => {
  frame.place(0, 0, 1);
  drawn = true;
  tell("#crop-said", "");
});

at("#crop-save").addEventListener("click", async () => {
  const answer = await ask("PUT", "/api/crop", { crop: frame.crop }).catch(() => null);
  if (!answer) return tell("#crop-said", "gone");
  if (!answer.ok) return tell("#crop-said", "", (await refusal(answer)).told);
  drawn = false;
  tell("#crop-said", "crop_saved");
});

// ---- the relay ----

one("#enrol", HTMLFormElement).addEventListener("submit", async (event) => {
  event.preventDefault();
  const [url, code] = [input("#url").value.trim(), input("#code").value.trim()];
  if (!url || !code) return tell("#enrol-said", "enrol_empty");
  tell("#enrol-said", "enrolling");
  const answer = await ask("PUT", "/api/relay", { url, code }).catch(() => null);
  if (!answer) return tell("#enrol-said", "gone");
  if (answer.ok) {
    input("#code").value = "";
    return tell("#enrol-said", "enrolled");
  }
  const { why, told: reason } = await refusal(answer);
  tell("#enrol-said", why === "lesson" ? "enrol_lesson" : "", reason);
});

// ---- languages ----

/** @param {Language} chosen */
function speak(chosen) {
  language = chosen;
  document.documentElement.lang = chosen;
  document.title = `${t("title")} – ${t("name")}`;
  for (const element of all("[data-word]")) put(element, t(element.dataset.word ?? ""));
  for (const element of all("[data-label]")) element.setAttribute("aria-label", t(element.dataset.label ?? ""));
  for (const choice of all("[data-language]")) {
    choice.setAttribute("aria-pressed", String(choice.dataset.language === chosen));
  }
  for (const [place, [key, more]] of told) tell(place, key, more);
  show();
}

for (const choice of all("[data-language]")) {
  choice.addEventListener("click", () => {
    const chosen = /** @type {Language} */ (choice.dataset.language);
    history.replaceState(null, "", `?lang=${chosen}`);
    speak(chosen);
  });
}
speak(language);
listen();
