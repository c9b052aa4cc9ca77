/**
 * The pupil's page, put together: the state channel and the media session feed the model, the model is drawn.
 *
 * For tests and scripts the page says where it is on `<html>`: `data-state` (the server's last word, or `unknown`),
 * `data-kind` (what the pupil is told), `data-link` (`connecting|up|down`), `data-sound` (`off|on`), `data-pictures`
 * (pictures decoded since the page opened, brought up to date once a second), `data-picture` (`full|slow|voice`: what the
 * relay was last known to send).
 */

import { Controls } from "./controls.js";
import { ClassEvents } from "./events.js";
import { firstSession } from "./first_session.js";
import { clock } from "./i18n.js";
import { byId } from "./page_parts.js";
import { PictureChoice, PictureDoubt } from "./picture.js";
import { Player } from "./player.js";
import { Wakefulness } from "./screen.js";
import { LiveSession } from "./session.js";
import { expectsMedia, readClassState, reduce, UNKNOWN, view } from "./state.js";
import { Stills } from "./stills.js";
import { watchWaking } from "./waking.js";
import { Words } from "./words.js";

/** States in which a picture from before must not come back by itself. */
const FORGETS = new Set(["waiting", "curtain", "over"]);

/** What a pupil reads about the voice. */
const SOUND_WARNINGS = /** @type {const} */ ({ silent: "sound.silent", clipping: "sound.clipping", lost: "sound.lost" });

class Page {
  #root = document.documentElement;
  #stage = byId("stage", HTMLElement);
  #className = document.querySelector(".who b")?.textContent ?? "";
  #model = UNKNOWN;
  #pictures = 0;
  #wakefulness = new Wakefulness();
  #words = new Words(byId("language", HTMLElement), () => this.#draw());
  #player = new Player(byId("video", HTMLVideoElement), byId("last", HTMLCanvasElement), {
    onPicture: () => this.#happen({ type: "picture" }),
    onSound: () => this.#draw(),
  });
  #controls = new Controls({ player: this.#player, words: this.#words });
  #stills = new Stills(this.#words);
  #doubt = new PictureDoubt();
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
  });

  open() {
    watchWaking(
      () => this.#mistrust(),
      () => this.#session.doubt(),
    );
    window.addEventListener("pagehide", () => this.#leave());
    window.addEventListener("pageshow", (event) => event.persisted && this.#arrive());
    new PictureChoice((chosen) => void this.#session.askPicture(chosen));
    this.#arrive();
    this.#draw();
  }

  #arrive() {
    void this.#events.run();
    void this.#session.run();
  }

  #leave() {
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
    const hadPicture = this.#model.picture;
    this.#happen({ type: "class", school });
    if (expectsMedia(this.#model) && (hadPicture !== this.#model.picture || !hadPicture)) this.#player.awaitPicture();
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

  /** @param {{stalled: boolean, voiceOnly: boolean, newFrames: number}} flow */
  #onFlow({ stalled, voiceOnly, newFrames }) {
    this.#pictures += newFrames;
    this.#root.dataset["pictures"] = String(this.#pictures);
    this.#happen({ type: "flow", stalled, voiceOnly });
    if (this.#model.school?.state !== "live" || document.visibilityState !== "visible") return;
    const { sent } = this.#model.sent;
    if (this.#doubt.observe({ now_ms: performance.now(), sent, newFrames })) void this.#session.askPicture();
  }

  /** @param {import("./state.js").Happening} happening */
  #happen(happening) {
    const model = reduce(this.#model, happening);
    if (model === this.#model) return;
    this.#model = model;
    this.#draw();
  }

  #draw() {
    const seen = view(this.#model);
    const { dataset } = this.#root;
    dataset["state"] = this.#model.school?.state ?? "unknown";
    dataset["kind"] = seen.kind;
    dataset["link"] = seen.link;
    dataset["picture"] = this.#model.sent.sent;
    dataset["sound"] = this.#player.sound ? "on" : "off";
    this.#stage.dataset["covered"] = String(seen.covered);
    this.#stage.dataset["slow"] = String(seen.slow);
    this.#stage.dataset["veiled"] = String(seen.veiled);
    this.#drawWords(seen);
    this.#controls.draw(seen);
    this.#stills.draw(this.#model.school?.stills ?? []);
    this.#wakefulness.keep(expectsMedia(this.#model));
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
    write("lesson", this.#lessonLine());
    write("viewers", this.#viewersLine());
    document.title = `${title} · ${this.#className}`;
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
