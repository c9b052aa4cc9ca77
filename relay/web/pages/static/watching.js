/**
 * What this pupil watches: the lesson live, the same by way of its recording where the network lets nothing else
 * through, an earlier moment of it, or the replay of another. Owns the recording that plays; follows the class.
 *
 * Not here: when to change (`source.js`), the controls (`timeline_bar.js`), the list (`replays.js`).
 */

import { loadLibrary, Recording } from "./recording.js";
import { stopAt, stoppedAt } from "./resume.js";
import { Closeness, DELAY_S, DIRECT_FIRST_MS, DIRECT_LIKELY_MS, hasCaughtUp, isDirectShut, meansLive } from "./source.js";
import { LiveEnd } from "./timeline.js";

/** How often the place is noted where the pupil would stop if the browser went now. */
const NOTE_EVERY_S = 5;

/** At the very end there is no picture that a player could look for. */
const LAST_S = 0.5;

/** @typedef {import("./lessons.js").RecordedLesson} RecordedLesson */
/** @typedef {import("./state.js").Model} Model */
/** @typedef {import("./state.js").View} View */

/** Server states in which the recording of the running lesson grows. */
const CAPTURING = new Set(["starting", "live", "reconnecting"]);

/** Server states that end delayed watching at once: what a curtain hides is hidden. */
const NOT_DELAYED = new Set(["waiting", "curtain"]);

export class Watching {
  #player;
  #onChange;
  /** @type {import("./source.js").Watching} */
  #mode = "live";
  /** @type {RecordedLesson | null} what plays, when it is not live */
  #lesson = null;
  /** @type {Recording | null} */
  #recording = null;
  #picture = false;
  #unplayable = false;
  #everDirect = false;
  /** @type {number | null} since when the direct way is waited for */
  #awaitedSince_ms = null;
  #flowing = false;
  #noted_s = 0;
  /** @type {Model | null} */
  #model = null;
  /** @type {readonly RecordedLesson[]} */
  #lessons = [];
  #liveEnd = new LiveEnd();
  #closeness = new Closeness();
  /** @type {string | null} */
  #runningId = null;
  /** @type {Map<string, readonly import("./lessons.js").Gap[]>} the newest word on each */
  #gaps = new Map();

  /**
   * @param {import("./player.js").Player} player
   * @param {() => void} onChange
   */
  constructor(player, onChange) {
    this.#player = player;
    this.#onChange = onChange;
    player.video.addEventListener("timeupdate", () => this.#onTime());
    player.video.addEventListener("waiting", () => this.#onWaiting());
    player.video.addEventListener("ended", () => this.#onEnded());
  }

  get mode() {
    return this.#mode;
  }

  /** The lesson that plays from its recording, or null. */
  get lesson() {
    return this.#lesson;
  }

  /** The lesson that runs now, if it is recorded. @returns {RecordedLesson | null} */
  get running() {
    const { lesson, recording, state } = this.#model?.school ?? { lesson: null, recording: null, state: "waiting" };
    if (!lesson || !recording || lesson.ended_unix_ms !== null || state === "over" || state === "waiting") return null;
    return this.#lessons.find(({ id }) => id === lesson.id) ?? newborn(lesson, recording);
  }

  /** Whether what plays from its recording still runs. */
  get isRunning() {
    return this.#lesson !== null && this.#lesson.id === this.running?.id;
  }

  /** Where we are and where the end is, in seconds of the recording; null while there is no recording. */
  get at() {
    const now_ms = performance.now();
    if (this.#mode === "live") {
      const { running } = this;
      const end_s = this.#liveEnd.at(now_ms);
      return running === null || end_s === 0 ? null : { position_s: end_s, end_s, gaps: this.#gapsOf(running) };
    }
    const lesson = /** @type {RecordedLesson} */ (this.#lesson);
    const held_s = this.#recording?.end_s || lesson.duration_s;
    const position_s = Math.min(this.#player.video.currentTime, held_s);
    const end_s = this.isRunning ? Math.max(held_s, this.#liveEnd.at(now_ms)) : held_s;
    return { position_s, end_s, gaps: this.#gapsOf(lesson) };
  }

  /**
   * The class's state, or our own connections', changed.
   * @param {Model} model
   */
  follow(model) {
    this.#model = model;
    const { running } = this;
    const now_ms = performance.now();
    if (running?.id !== this.#runningId) {
      this.#runningId = running?.id ?? null;
      this.#liveEnd.reset();
      if (running !== null) this.#liveEnd.hear(running.duration_s, now_ms);
    }
    const state = model.school?.state ?? "waiting";
    this.#liveEnd.run(CAPTURING.has(state), now_ms);
    if (this.#mode === "delayed" && (NOT_DELAYED.has(state) || model.events === "gone")) this.#backToLive();
    else this.#delayIfShut();
  }

  /**
   * The relay's list of recordings.
   * @param {readonly RecordedLesson[]} lessons
   */
  hear(lessons) {
    this.#lessons = lessons;
    for (const { id, gaps } of lessons) this.#gaps.set(id, gaps);
    const { running } = this;
    if (running !== null) this.#liveEnd.hear(running.duration_s, performance.now());
    const own = lessons.find(({ id }) => id === this.#lesson?.id);
    if (own) this.#recording?.hear({ duration_s: own.duration_s, gaps: own.gaps, live: own.live });
    this.#onChange();
  }

  /**
   * What the direct way brought in the last second.
   * @param {boolean} flowing
   */
  onDirect(flowing) {
    this.#flowing = flowing;
    this.#everDirect ||= flowing;
    if (flowing && this.#mode === "delayed") this.#backToLive();
  }

  /** A picture of the recording reached the screen. */
  onPicture() {
    if (this.#picture || this.#recording === null) return;
    this.#picture = true;
    const { video } = this.#player;
    const start_s = this.#closeness.begin({ position_s: video.currentTime, end_s: this.#recording.end_s });
    if (this.#mode === "delayed" && start_s !== null) video.currentTime = start_s;
    this.#onChange();
  }

  /**
   * Plays a lesson from its recording.
   * @param {RecordedLesson} lesson
   * @param {number | null} [start_s]  null: where the pupil stopped
   */
  replay(lesson, start_s = null) {
    this.#begin("recorded", lesson, start_s ?? stoppedAt(lesson.id) ?? 0);
  }

  /**
   * Goes to a moment of what is watched: of the running lesson, or of the replay.
   * @param {number} position_s
   */
  seek(position_s) {
    const { at } = this;
    if (at === null) return;
    const { running } = this;
    const isLesson = this.#mode === "live" || this.isRunning;
    const last_s = isLesson ? at.end_s : Math.max(0, at.end_s - LAST_S);
    const goal_s = Math.min(Math.max(0, position_s), last_s);
    if (isLesson && meansLive(goal_s, at.end_s)) this.toLive();
    else if (this.#mode === "live") running && this.#begin("recorded", running, goal_s);
    else {
      this.#mode = "recorded";
      this.#player.video.currentTime = goal_s;
      this.#onChange();
    }
  }

  /** @param {number} by_s */
  step(by_s) {
    const { at } = this;
    if (at !== null) this.seek(at.position_s + by_s);
  }

  /** Back to the class: to the lesson as it happens, or to whatever the class does. */
  toLive() {
    if (this.#mode === "live") return;
    this.#note();
    const stays = this.isRunning && !this.#flowing && this.#isShut();
    if (!stays) {
      this.#backToLive();
      return;
    }
    this.#mode = "delayed";
    this.rate = 1;
    this.#player.resume();
    this.#player.video.currentTime = Math.max(0, (this.#recording?.end_s ?? 0) - DELAY_S);
    this.#onChange();
  }

  /** How fast. Live has but one pace. */
  get rate() {
    return this.#mode === "recorded" ? this.#player.rate : 1;
  }

  set rate(rate) {
    this.#player.rate = rate;
    this.#onChange();
  }

  togglePause() {
    if (this.#player.paused) this.#player.resume();
    else this.#player.pause();
    this.#note();
    this.#onChange();
  }

  /** The page is being left: notes the place. */
  leave() {
    this.#note();
  }

  /**
   * What the pupil sees, given what there would be to see live.
   * @param {View} live
   * @returns {View}
   */
  view(live) {
    if (this.#mode === "live" || live.kind === "gone") return live;
    const covered = !this.#picture && live.covered;
    const school = this.#model?.school ?? null;
    const plain = { ...live, slow: false, veiled: false, soundWarning: null };
    if (this.#unplayable) return { ...plain, kind: "unplayable", covered: true };
    if (this.#mode === "recorded") return { ...plain, kind: "recorded", covered, sound: true };
    const kind = school?.state === "live" ? "delayed" : live.kind;
    return { ...plain, kind, covered, veiled: kind !== "delayed" && !covered, soundWarning: school?.sound_warning ?? null };
  }

  #isShut() {
    const waited_ms = this.#awaitedSince_ms === null ? 0 : performance.now() - this.#awaitedSince_ms;
    return this.#model !== null && isDirectShut(this.#model, this.#everDirect, waited_ms);
  }

  /** Looks again when the direct way has had its time at first. */
  #awaitDirect() {
    if (this.#awaitedSince_ms !== null || this.#everDirect) return;
    this.#awaitedSince_ms = performance.now();
    setTimeout(() => {
      if (this.#model?.media !== "up") void loadLibrary();
    }, DIRECT_LIKELY_MS);
    setTimeout(() => this.#delayIfShut(), DIRECT_FIRST_MS);
  }

  #delayIfShut() {
    const { running } = this;
    if (this.#mode !== "live" || running === null || this.#model?.school?.state !== "live") return;
    if (this.#isShut()) this.#begin("delayed", running, null);
    else if (this.#model.media === "up") this.#awaitedSince_ms = null;
    else this.#awaitDirect();
  }

  /**
   * @param {"delayed" | "recorded"} mode
   * @param {RecordedLesson} lesson
   * @param {number | null} start_s  null: close to the end
   */
  #begin(mode, lesson, start_s) {
    this.#note();
    this.#recording?.close();
    this.#mode = mode;
    this.#lesson = lesson;
    this.#picture = false;
    this.#unplayable = false;
    this.#noted_s = start_s ?? 0;
    const recording = new Recording(this.#player.lend(), lesson.playlist, {
      onTimeline: ({ duration_s, gaps }) => this.#onTimeline(lesson, duration_s, gaps),
      onRestart: () => this.#player.bridge(),
      onUnplayable: () => this.#onUnplayable(),
    });
    this.#recording = recording;
    recording.hear({ duration_s: lesson.duration_s, gaps: lesson.gaps, live: lesson.live });
    void recording.play(start_s, DELAY_S);
    this.#onChange();
  }

  #backToLive() {
    this.#recording?.close();
    this.#recording = null;
    this.#lesson = null;
    this.#mode = "live";
    this.#unplayable = false;
    this.#player.takeBack();
    this.#onChange();
  }

  /**
   * @param {RecordedLesson} lesson
   * @param {number} duration_s
   * @param {readonly import("./lessons.js").Gap[]} gaps
   */
  #onTimeline(lesson, duration_s, gaps) {
    this.#gaps.set(lesson.id, gaps);
    if (lesson.id === this.#runningId) this.#liveEnd.hear(duration_s, performance.now());
    this.#onChange();
  }

  #onUnplayable() {
    this.#unplayable = true;
    this.#onChange();
  }

  #onTime() {
    if (this.#mode === "live" || this.#recording === null) return;
    const { video } = this.#player;
    const at = { position_s: video.currentTime, end_s: this.#recording.end_s };
    if (Math.abs(at.position_s - this.#noted_s) >= NOTE_EVERY_S) this.#note();
    if (this.#mode === "recorded") {
      if (this.isRunning && hasCaughtUp({ ...at, rate: this.rate })) this.toLive();
      return;
    }
    const { seek_s, rate } = this.#closeness.advise(at);
    if (seek_s !== null) video.currentTime = seek_s;
    if (this.#player.rate !== rate) this.#player.rate = rate;
  }

  #onWaiting() {
    if (this.#mode === "delayed" && this.#picture) this.#closeness.onWait(this.#player.video.currentTime);
  }

  #onEnded() {
    if (this.#mode === "delayed") this.#backToLive();
    if (this.#mode !== "recorded") return;
    this.#player.pause();
    this.#note();
    this.#onChange();
  }

  #note() {
    if (this.#mode !== "recorded" || this.#lesson === null || this.#recording === null || !this.#picture) return;
    this.#noted_s = this.#player.video.currentTime;
    stopAt(this.#lesson.id, this.#noted_s, this.#recording.end_s);
  }

  /** @param {RecordedLesson} lesson */
  #gapsOf(lesson) {
    return this.#gaps.get(lesson.id) ?? lesson.gaps;
  }
}

/**
 * A lesson that the list does not have yet.
 * @param {import("./state.js").Lesson} lesson
 * @param {import("./state.js").RunningRecording} recording
 * @returns {RecordedLesson}
 */
function newborn({ id }, { playlist, started_unix_ms }) {
  const fresh = { duration_s: 0, live: true, complete: false, thumbnail: null, download: "", gaps: [] };
  return { id, started_unix_ms, playlist, ...fresh };
}
