/**
 * What the page knows (a model), how that changes (`reduce`), and what it means to the pupil (`view`).
 *
 * Pure: no DOM, no clock, no network. The server's word is `docs/protocol.md`, "Pupil's state"; the rest of the model is
 * what this browser sees for itself. `page.js` feeds it and draws it.
 */

/** @typedef {"waiting" | "starting" | "live" | "reconnecting" | "curtain" | "over"} ServerState */
/** @typedef {{id: string, started_unix_ms: number, ended_unix_ms: number | null}} Lesson */
/** @typedef {{url: string, taken_unix_ms: number}} Still */
/** @typedef {"silent" | "clipping" | "lost"} SoundWarning  what is wrong with the voice, in class */
/** @typedef {{playlist: string, started_unix_ms: number}} RunningRecording */
/** @typedef {{state: ServerState, lesson: Lesson | null, viewers: number, stills: Still[], sound_warning: SoundWarning | null, recording: RunningRecording | null}} ClassState */

/** @typedef {"connecting" | "up" | "down" | "gone"} EventsStatus  the state channel; gone: the link is not known */
/** @typedef {"connecting" | "up" | "down"} MediaStatus  the WHEP session */

/**
 * @typedef {object} Model
 * @property {ClassState | null} school       the server's last word; null before the first
 * @property {EventsStatus} events
 * @property {number} eventsFailures          failed tries since the channel was last up
 * @property {MediaStatus} media
 * @property {number} mediaFailures           failed tries since a session was last up, and the relay within reach
 * @property {boolean} picture                a picture of this stretch of the lesson was shown
 * @property {boolean} stalled                pictures should come and do not
 * @property {boolean} voiceOnly              sound comes and no picture ever did
 * @property {import("./picture.js").ViewerPicture} sent  how much of the picture the relay sends, and by whose choice
 */

/**
 * @typedef {{type: "class", school: ClassState}
 *   | {type: "events", status: EventsStatus, failures: number}
 *   | {type: "media", status: MediaStatus, failures: number}
 *   | {type: "picture"}
 *   | {type: "sent", sent: import("./picture.js").ViewerPicture}
 *   | {type: "flow", stalled: boolean, voiceOnly: boolean}} Happening
 */

/**
 * What the pupil is told. Beyond the server's states:
 * `connecting` nothing known yet; `offline` the relay is out of reach; `gone` the link is not known;
 * `arriving` live, first picture under way; `voice` live, sound without picture; `catching_up` live, the picture stands
 * still; `blocked` live, but no media gets through this network; `slow` and `slow_chosen` live, the board about every two
 * seconds, because of the network or by choice; `spared` and `spared_chosen` live, no picture, likewise; `delayed` live, by
 * way of the recording; `recorded` an earlier moment or another lesson; `unplayable` that, in a browser that cannot.
 * @typedef {"slow" | "slow_chosen" | "spared" | "spared_chosen"} Sparing
 * @typedef {"delayed" | "recorded" | "unplayable"} Replaying
 * @typedef {ServerState | Sparing | Replaying | "connecting" | "offline" | "gone" | "arriving" | "voice" | "catching_up" | "blocked"} Kind
 */

/**
 * @typedef {object} View
 * @property {Kind} kind
 * @property {boolean} covered   the drawn classroom hides the video
 * @property {boolean} slow      what is shown is the present, but seldom
 * @property {boolean} veiled    the last picture stays, dimmed: it is not the present
 * @property {boolean} sound     the offer to turn on the sound makes sense
 * @property {SoundWarning | null} soundWarning  why the voice is missing or hurts, where the class is to blame
 * @property {"connecting" | "up" | "down"} link
 */

/** One failed try is a hiccup that mends itself before a pupil has read about it. */
const OFFLINE_AFTER = 2;

/** Failed sessions, with the state channel up, before we say that this network lets no video through. */
const BLOCKED_AFTER = 2;

/** States in which a picture that was shown stays worth showing. */
const ON_STAGE = new Set(["live", "reconnecting"]);

/** What is told while a voice should be heard. */
const HEARD = new Set(["live", "voice", "arriving", "slow", "slow_chosen", "spared", "spared_chosen"]);

/** What is told while a picture of now is on screen. */
const PRESENT = new Set(["live", "slow", "slow_chosen"]);

/** @type {Readonly<Model>} */
export const UNKNOWN = Object.freeze({
  school: null,
  events: "connecting",
  eventsFailures: 0,
  media: "connecting",
  mediaFailures: 0,
  picture: false,
  stalled: false,
  voiceOnly: false,
  sent: Object.freeze({ chosen: "auto", sent: "full" }),
});

/**
 * @param {Model} model
 * @param {Happening} happening
 * @returns {Model}
 */
export function reduce(model, happening) {
  switch (happening.type) {
    case "class":
      return arrive(model, happening.school);
    case "events":
      return listen(model, happening);
    case "media":
      return { ...model, media: happening.status, mediaFailures: happening.failures };
    case "picture":
      return expectsMedia(model) ? { ...model, picture: true, stalled: false, voiceOnly: false } : model;
    case "sent":
      return { ...model, sent: happening.sent };
    case "flow":
      return flow(model, happening);
  }
}

/**
 * What failed while the relay was out of reach says nothing of the network's way for media.
 * @param {Model} model
 * @param {{status: EventsStatus, failures: number}} channel
 * @returns {Model}
 */
function listen(model, { status, failures }) {
  const isBack = status === "up" && model.events !== "up";
  return { ...model, events: status, eventsFailures: failures, mediaFailures: isBack ? 0 : model.mediaFailures };
}

/**
 * @param {Model} model
 * @param {{stalled: boolean, voiceOnly: boolean}} seen
 * @returns {Model} the same one when nothing changed: this comes every second
 */
function flow(model, { stalled, voiceOnly }) {
  const same = stalled === model.stalled && voiceOnly === model.voiceOnly;
  return same ? model : { ...model, stalled, voiceOnly };
}

/**
 * The server spoke. A picture from before a curtain, or of another lesson, must not count as a picture of now.
 * @param {Model} model
 * @param {ClassState} school
 * @returns {Model}
 */
function arrive(model, school) {
  const sameLesson = model.school?.lesson?.id === school.lesson?.id;
  const comesFromStart = model.school?.state === "starting" && school.state === "live";
  const keeps = sameLesson && (comesFromStart || (ON_STAGE.has(school.state) && model.school?.state !== "curtain"));
  return { ...model, school, picture: keeps && model.picture, stalled: false, voiceOnly: keeps && model.voiceOnly };
}

/**
 * Whether media may come at any moment: also while the server's "live" is still under way to us.
 * @param {Model} model
 */
export function expectsMedia(model) {
  const state = model.school?.state;
  return state === "starting" || state === "live" || state === "reconnecting";
}

/**
 * @param {Model} model
 * @returns {View}
 */
export function view(model) {
  const kind = kindOf(model);
  const hasPicture = model.picture && expectsMedia(model);
  const veiled = hasPicture && !PRESENT.has(kind);
  return {
    kind,
    covered: kind === "gone" || !hasPicture,
    slow: hasPicture && (kind === "slow" || kind === "slow_chosen"),
    veiled: veiled && kind !== "gone",
    sound: kind !== "gone" && kind !== "over",
    soundWarning: HEARD.has(kind) ? (model.school?.sound_warning ?? null) : null,
    link: linkOf(model),
  };
}

/**
 * @param {Model} model
 * @returns {Kind}
 */
function kindOf(model) {
  const { school, events, media } = model;
  if (events === "gone") return "gone";
  const unreachable = events !== "up" && model.eventsFailures >= OFFLINE_AFTER;
  if (unreachable && (media !== "up" || model.stalled || !model.picture)) return "offline";
  if (school === null) return "connecting";
  if (school.state === "starting" && model.picture) return "live";
  if (school.state !== "live") return school.state;
  return liveKind(model);
}

/**
 * @param {Model} model
 * @returns {Kind}
 */
function liveKind(model) {
  if (model.media !== "up" && model.mediaFailures >= BLOCKED_AFTER) return "blocked";
  const { chosen, sent } = model.sent;
  if (sent === "voice" && model.media === "up") return chosen === "voice" ? "spared_chosen" : "spared";
  if (sent === "slow" && model.picture && model.media === "up") return chosen === "slow" ? "slow_chosen" : "slow";
  if (model.picture) return model.stalled || model.media === "down" ? "catching_up" : "live";
  return model.voiceOnly ? "voice" : "arriving";
}

/**
 * @param {Model} model
 * @returns {View["link"]}
 */
function linkOf({ events, media }) {
  if (events === "up" && media === "up") return "up";
  return events === "down" || events === "gone" || media === "down" ? "down" : "connecting";
}

/** @type {ReadonlySet<unknown>} */
const SOUND_WARNINGS = new Set(["silent", "clipping", "lost"]);
const STATES = new Set(["waiting", "starting", "live", "reconnecting", "curtain", "over"]);

/**
 * Reads one `state` event. A later relay may add fields; one that speaks of a state unknown here is not understood.
 * @param {string} text
 * @returns {ClassState | null} null for what we cannot understand
 */
export function readClassState(text) {
  /** @type {any} */
  let raw;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
  if (raw === null || typeof raw !== "object" || !STATES.has(raw.state)) return null;
  return {
    state: raw.state,
    lesson: readLesson(raw.lesson),
    viewers: Number.isInteger(raw.viewers) ? raw.viewers : 0,
    stills: Array.isArray(raw.stills) ? raw.stills.filter(isStill) : [],
    sound_warning: SOUND_WARNINGS.has(raw.sound_warning) ? raw.sound_warning : null,
    recording: readRecording(raw.recording),
  };
}

/**
 * @param {any} raw
 * @returns {Lesson | null}
 */
function readLesson(raw) {
  if (typeof raw?.id !== "string" || typeof raw.started_unix_ms !== "number") return null;
  const ended = typeof raw.ended_unix_ms === "number" ? raw.ended_unix_ms : null;
  return { id: raw.id, started_unix_ms: raw.started_unix_ms, ended_unix_ms: ended };
}

/**
 * @param {any} raw
 * @returns {RunningRecording | null}
 */
function readRecording(raw) {
  if (typeof raw?.playlist !== "string" || typeof raw.started_unix_ms !== "number") return null;
  return { playlist: raw.playlist, started_unix_ms: raw.started_unix_ms };
}

/** @param {any} raw */
function isStill(raw) {
  return typeof raw?.url === "string" && typeof raw.taken_unix_ms === "number";
}
