/**
 * The pupil's page, put together: the state channel and the media session feed the model, the model is drawn.
 *
 * For tests and scripts the page says where it is on `<html>`: `data-state` (the server's last word, or `unknown`),
 * `data-kind` (what the pupil is told), `data-link` (`connecting|up|down`), `data-sound` (`off|on`), `data-pictures`
 * (pictures decoded since the page opened, brought up to date once a second), `data-picture` (`full|slow|voice`: what the
 * relay was last known to send), `data-watching` (`live|delayed|recorded`).
 */

import { Controls } from "./controls.js";
import { ClassEvents } from "./events.js";
import { firstSession } from "./first_session.js";
import { clock, spokenLength } from "./i18n.js";
import { LateOffer } from "./late_offer.js";
import { Lessons } from "./lessons.js";
import { byId } from "./page_parts.js";
import { PictureChoice, PictureDoubt } from "./picture.js";
import { Player } from "./player.js";
import { Replays } from "./replays.js";
import { Wakefulness } from "./screen.js";
import { LiveSession } from "./session.js";
import { expectsMedia, readClassState, reduce, UNKNOWN, view } from "./state.js";
import { Stills } from "./stills.js";
import { missing_s } from "./timeline.js";
import { TimelineBar } from "./timeline_bar.js";
import { watchWaking } from "./waking.js";
import { Watching } from "./watching.js";
import { Words } from "./words.js";

/** States in which a picture from before must not come back by itself. */
const FORGETS = new Set(["waiting", "curtain", "over"]);

/** How often the list of recordings is asked for: their holes close, and lessons of other rooms come in. */
const LIST_EVERY_MS = 30_000;

/** The same while a lesson that has just ended is still being sent, and how often at most. */
const ARRIVING_EVERY_MS = 2000;
const QUICK_ASKS = 15;

/** What a pupil reads about the voice. */
const SOUND_WARNINGS = /** @type {const} */ ({ silent: "sound.silent", clipping: "sound.clipping", lost: "sound.lost" });

class Page {
  #root = document.documentElement;
  #stage = byId("stage", HTMLElement);
  #className = document.querySelector(".who b")?.textContent ?? "";
  #model = UNKNOWN;
  #pictures = 0;
  #askAgain = 0;
  #quickAsks = QUICK_ASKS;
  #wakefulness = new Wakefulness();
  #words = new Words(byId("language", HTMLElement), () => this.#draw());
  #player = new Player(byId("video", HTMLVideoElement), byId("last", HTMLCanvasElement), {
    onPicture: () => this.#onPicture(),
    onSound: () => this.#draw(),
  });
  #controls = new Controls({ player: this.#player, words: this.#words });
  #stills = new Stills(this.#words);
  #doubt = new PictureDoubt();
  #watching = new Watching(this.#player, () => this.#draw());
  #timeline = new TimelineBar({ watching: this.#watching, player: this.#player, words: this.#words });
  #offer = new LateOffer({ watching: this.#watching, words: this.#words });
  #replays = new Replays(this.#words, (lesson) => this.#replay(lesson));
  #lessons = new Lessons(this.#root.dataset["lessonsUrl"] ?? "", (lessons) => this.#onLessons(lessons));
  #events = new ClassEvents(this.#root.dataset["eventsUrl"] ?? "", {
    onState: (text) => this.#onState(text),
    onStatus: (status, failures) => this.#onEvents(status, failures),
  });
  #session = new LiveSession(this.#root.dataset["whepUrl"] ?? "", firstSession, {
    onStream: (stream) => this.#player.show(stream),
    onStatus: (status, failures) => this.#happen({ type: "media", status, failures }),
    onPicture: (sent) => this.#happen({ type: "sent", sent }),
    onFlow: (flow) => this.#onFlow(flow),
    isSparse: () => this.#model.sent.sent !== "full",
    isExpected: () => this.#model.school?.state === "live",
    isSeen: () => this.#watching.mode === "live",
  });

  open() {
    watchWaking(
      () => this.#mistrust(),
      () => this.#session.doubt(),
    );
    window.addEventListener("pagehide", () => this.#leave());
    window.addEventListener("pageshow", (event) => event.persisted && this.#arrive());
    new PictureChoice((chosen) => void this.#session.askPicture(chosen));
    setInterval(() => document.visibilityState === "visible" && void this.#lessons.ask(), LIST_EVERY_MS);
    this.#arrive();
    this.#draw();
  }

  #arrive() {
    void this.#events.run();
    void this.#session.run();
    void this.#lessons.ask();
  }

  #leave() {
    this.#watching.leave();
    this.#events.stop();
    this.#session.stop();
  }

  /** Sleep or another network: nothing from before may be trusted. */
  #mistrust() {
    this.#events.renew();
    this.#session.doubt();
  }

  /** @param {string} text */
  #onState(text) {
    const school = readClassState(text);
    if (school === null) return;
    if (FORGETS.has(school.state)) this.#player.forget();
    const { picture: hadPicture, school: before } = this.#model;
    this.#happen({ type: "class", school });
    if (expectsMedia(this.#model) && (hadPicture !== this.#model.picture || !hadPicture)) this.#player.awaitPicture();
    const news = school.state !== before?.state || (school.recording === null) !== ((before?.recording ?? null) === null);
    if (!news || before === null) return;
    this.#quickAsks = QUICK_ASKS;
    void this.#lessons.ask();
  }

  /** @param {readonly import("./lessons.js").RecordedLesson[]} lessons */
  #onLessons(lessons) {
    this.#replays.hear(lessons);
    this.#watching.hear(lessons);
    clearTimeout(this.#askAgain);
    const isArriving = lessons.some(({ complete, live }) => !complete && !live);
    if (isArriving && this.#quickAsks-- > 0) this.#askAgain = window.setTimeout(() => void this.#lessons.ask(), ARRIVING_EVERY_MS);
  }

  /** @param {import("./lessons.js").RecordedLesson} lesson */
  #replay(lesson) {
    this.#watching.replay(lesson);
    this.#stage.scrollIntoView({ block: "nearest" });
    this.#stage.focus({ preventScroll: true });
  }

  #onPicture() {
    if (this.#player.isLent) this.#watching.onPicture();
    else this.#happen({ type: "picture" });
  }

  /**
   * @param {import("./state.js").EventsStatus} status
   * @param {number} failures
   */
  #onEvents(status, failures) {
    const before = this.#model;
    this.#happen({ type: "events", status, failures });
    // A relay that restarted knows nothing of our session, and silence is all that it would say.
    if (status === "up" && before.eventsFailures > 0) this.#session.doubt();
    if (status === "up" && before.events === "gone") void this.#session.run();
    if (status === "gone") this.#session.stop();
  }

  /** @param {import("./attended.js").Flow} flow */
  #onFlow({ stalled, voiceOnly, newFrames, flowing, line_bps }) {
    this.#watching.onDirect(flowing);
    this.#pictures += newFrames;
    this.#root.dataset["pictures"] = String(this.#pictures);
    this.#happen({ type: "flow", stalled, voiceOnly });
    if (this.#model.school?.state !== "live" || document.visibilityState !== "visible" || this.#watching.mode !== "live") return;
    const { sent } = this.#model.sent;
    if (this.#doubt.observe({ now_ms: performance.now(), sent, newFrames, line_bps })) void this.#session.askPicture();
  }

  /** @param {import("./state.js").Happening} happening */
  #happen(happening) {
    const model = reduce(this.#model, happening);
    if (model === this.#model) return;
    this.#model = model;
    this.#watching.follow(model);
    this.#draw();
  }

  #draw() {
    const seen = this.#watching.view(view(this.#model));
    const { dataset } = this.#root;
    dataset["state"] = this.#model.school?.state ?? "unknown";
    dataset["kind"] = seen.kind;
    dataset["link"] = seen.link;
    dataset["picture"] = this.#model.sent.sent;
    dataset["sound"] = this.#player.sound ? "on" : "off";
    dataset["watching"] = this.#watching.mode;
    this.#stage.dataset["covered"] = String(seen.covered);
    this.#stage.dataset["slow"] = String(seen.slow);
    this.#stage.dataset["veiled"] = String(seen.veiled);
    this.#drawWords(seen);
    this.#controls.draw(seen);
    this.#stills.draw(this.#model.school?.stills ?? []);
    this.#timeline.draw(this.#model.school?.state ?? null, seen.kind === "gone");
    this.#offer.draw(seen.kind);
    this.#replays.draw({
      running: this.#watching.running?.id ?? null,
      playing: this.#watching.lesson?.id ?? null,
      covered: seen.covered && (seen.kind === "over" || seen.kind === "waiting"),
    });
    this.#wakefulness.keep(expectsMedia(this.#model) || (this.#watching.mode === "recorded" && !this.#player.paused));
  }

  /** @param {import("./state.js").View} seen */
  #drawWords({ kind, soundWarning }) {
    const title = this.#words.say(`${kind}.title`);
    const detail = this.#words.say(`${kind}.detail`);
    write("title", title);
    write("detail", detail);
    write("notice-title", title);
    write("notice-detail", detail);
    write("status", `${title}. ${detail}`);
    write("sound-warning", soundWarning === null ? "" : this.#words.say(SOUND_WARNINGS[soundWarning]));
    write("remark", this.#remark());
    write("lesson", this.#lessonLine());
    write("viewers", this.#viewersLine());
    document.title = `${title} · ${this.#className}`;
  }

  /** What a pupil has to know who watches something else than live. */
  #remark() {
    const { mode, at, isRunning } = this.#watching;
    if (mode === "live") return "";
    const { state } = this.#model.school ?? { state: "over" };
    const parts = [];
    if (mode === "delayed") parts.push(this.#words.say("delayed.detail"));
    else if (state !== "over" && state !== "waiting" && !(isRunning && state === "live")) {
      parts.push(this.#words.say("remark.meanwhile", { state: this.#words.say(`${state}.title`) }));
    }
    const lacking_s = missing_s(at?.gaps ?? []);
    if (lacking_s >= 1) parts.push(this.#words.say("remark.gaps", { length: spokenLength(this.#words.language, lacking_s) }));
    return parts.join(" ");
  }

  #lessonLine() {
    const { language } = this.#words;
    const lesson = this.#model.school?.lesson;
    if (!lesson || this.#model.events === "gone") return "";
    const ended = lesson.ended_unix_ms;
    if (ended !== null) return this.#words.say("lesson.ended", { time: clock(language, ended) });
    return this.#words.say("lesson.since", { time: clock(language, lesson.started_unix_ms) });
  }

  #viewersLine() {
    const { state, viewers: count } = this.#model.school ?? { state: "over", viewers: 0 };
    return count > 0 && state !== "over" && this.#model.events !== "gone" ? this.#words.say("lesson.watching", { count }) : "";
  }
}

/**
 * Writes only what changed, so that a screen reader speaks only of changes.
 * @param {string} id
 * @param {string} text
 */
function write(id, text) {
  const element = byId(id, HTMLElement);
  if (element.textContent !== text) element.textContent = text;
}

new Page().open();
