/**
 * Plays one recording in a video element: by hls.js, which is loaded when it is needed, or by the browser itself where
 * it plays HLS and lets nobody else do it (iPhones before iOS 17.1). Says what it learns of the recording's time line.
 *
 * Not here: which recording, from when, and what becomes of live (`watching.js`).
 */

import { Backoff } from "./backoff.js";
import { filled, gapsOf, isInGap, pastGap } from "./timeline.js";

/** Not a literal, because the file is not in the repository: `scripts/set_up.sh hls` places it. */
const HLS = "/static/hls.mjs";
const HLS_TYPE = "application/vnd.apple.mpegurl";

/** A pupil's phone has to hold it: 60 s at 1.5 Mbit/s are 11 MB. */
const BEHIND_S = 60;
const AHEAD_S = 30;

/** So long before a hole that was filled a player is told of it: it loads ahead, but not across a hole. */
const BEFORE_FILLED_S = 1;

/** A decoder that fails is set up again so often before we say that it cannot be done. */
const RECOVERIES = 2;

/** @typedef {{default: typeof import("hls.js").default}} Library */
/** @typedef {{duration_s: number, gaps: readonly import("./lessons.js").Gap[], live: boolean}} Timeline */

/**
 * Loads what plays recordings, for a page that will need it soon if nothing better comes.
 * @returns {Promise<Library | null>} null: it is not there, or the network is gone
 */
export async function loadLibrary() {
  if (!hasMediaSource()) return null;
  try {
    return await import(HLS);
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

/**
 * @typedef {object} RecordingListener
 * @property {(timeline: Timeline) => void} onTimeline  at the beginning, and whenever it changes
 * @property {() => void} onRestart                     its pictures come from a new beginning
 * @property {() => void} onUnplayable                  this browser cannot play it
 */

export class Recording {
  #video;
  #url;
  #listener;
  /** @type {typeof import("hls.js").default | null} */
  #library = null;
  /** @type {import("hls.js").default | null} */
  #hls = null;
  /** @type {import("./lessons.js").Gap[]} holes that were filled, and hls.js does not believe it */
  #filled = [];
  /** @type {readonly import("./lessons.js").Gap[]} */
  #gaps = [];
  #duration_s = 0;
  #recoveries = 0;
  #backoff = new Backoff();
  #timer = 0;
  #life = new AbortController();

  /**
   * @param {HTMLVideoElement} video
   * @param {string} playlist
   * @param {RecordingListener} listener
   */
  constructor(video, playlist, listener) {
    this.#video = video;
    this.#url = playlist;
    this.#listener = listener;
    const { signal } = this.#life;
    for (const name of ["timeupdate", "waiting", "seeking", "seeked"]) {
      video.addEventListener(name, () => this.#onMove(), { signal });
    }
  }

  /** What of the recording there is, in seconds. */
  get end_s() {
    return this.#duration_s;
  }

  /**
   * Plays from a moment on.
   * @param {number | null} start_s  null: where the recording ends, less `delay_s`
   * @param {number} delay_s
   */
  async play(start_s, delay_s) {
    if (!hasMediaSource()) {
      this.#playNatively(start_s, delay_s);
      return;
    }
    this.#library = (await loadLibrary())?.default ?? null;
    if (this.#life.signal.aborted) return;
    if (this.#library === null) this.#listener.onUnplayable();
    else this.#playBy(this.#library, start_s, delay_s);
  }

  /**
   * What a relay's list says of the recording, for a browser that plays it by itself and tells nothing.
   * @param {Timeline} timeline
   */
  hear(timeline) {
    if (this.#hls === null) this.#learn(timeline);
  }

  /** Ends; the element is free again. */
  close() {
    this.#life.abort();
    clearTimeout(this.#timer);
    this.#hls?.destroy();
    this.#video.removeAttribute("src");
  }

  /**
   * @param {typeof import("hls.js").default} Hls
   * @param {number | null} start_s
   * @param {number} delay_s
   */
  #playBy(Hls, start_s, delay_s) {
    const hls = (this.#hls = new Hls({
      enableWorker: false, // nothing is repackaged that would be worth one
      startPosition: start_s ?? -1,
      liveSyncDuration: delay_s,
      backBufferLength: BEHIND_S,
      maxBufferLength: AHEAD_S,
    }));
    hls.on(Hls.Events.LEVEL_UPDATED, (_, { details }) => {
      this.#backoff.reset();
      // Its own word on holes (`gap`) is never taken back; the playlist's is.
      const entries = details.fragments.map(({ start, duration, tagList }) => ({ start, duration, gap: tagList.some(isGapTag) }));
      const gaps = gapsOf(entries);
      this.#filled.push(...filled(this.#gaps, gaps));
      this.#learn({ duration_s: details.edge, gaps, live: details.live });
    });
    hls.on(Hls.Events.ERROR, (_, { fatal, type }) => {
      if (fatal) this.#recover(hls, type === Hls.ErrorTypes.MEDIA_ERROR);
    });
    hls.loadSource(this.#url);
    hls.attachMedia(this.#video);
  }

  /**
   * @param {import("hls.js").default} hls
   * @param {boolean} decoding  it is the decoder that failed, else the network
   */
  #recover(hls, decoding) {
    if (!decoding) {
      this.#timer = window.setTimeout(() => {
        if (hls.latestLevelDetails) hls.startLoad();
        else hls.loadSource(this.#url);
      }, this.#backoff.next());
    } else if (++this.#recoveries <= RECOVERIES) hls.recoverMediaError();
    else this.#listener.onUnplayable();
  }

  /**
   * @param {number | null} start_s
   * @param {number} delay_s
   */
  #playNatively(start_s, delay_s) {
    const video = this.#video;
    const { signal } = this.#life;
    if (video.canPlayType(HLS_TYPE) === "") {
      this.#listener.onUnplayable();
      return;
    }
    const begin = () => {
      const end_s = video.seekable.length > 0 ? video.seekable.end(video.seekable.length - 1) : 0;
      video.currentTime = start_s ?? Math.max(0, end_s - delay_s);
    };
    video.addEventListener("loadedmetadata", begin, { once: true, signal });
    video.addEventListener("error", () => this.#listener.onUnplayable(), { signal });
    video.src = this.#url;
  }

  /** @param {Timeline} timeline */
  #learn(timeline) {
    this.#gaps = timeline.gaps;
    this.#duration_s = timeline.duration_s;
    this.#listener.onTimeline(timeline);
    this.#onMove();
  }

  #onMove() {
    const near_s = this.#video.currentTime + BEFORE_FILLED_S;
    if (isInGap(this.#filled, near_s) || isInGap(this.#filled, this.#video.currentTime)) this.#restart();
    else this.#jumpOverGap();
  }

  /** A player that was told of a hole goes round it for ever: one that never was plays what is there now. */
  #restart() {
    if (this.#library === null) return;
    this.#filled = [];
    const position_s = this.#video.currentTime;
    this.#listener.onRestart();
    this.#hls?.destroy();
    this.#playBy(this.#library, position_s, 0);
  }

  #jumpOverGap() {
    if (this.#video.seeking && this.#video.readyState > HTMLMediaElement.HAVE_METADATA) return;
    const goal_s = pastGap(this.#gaps, this.#video.currentTime, this.#duration_s);
    if (goal_s !== null) this.#video.currentTime = goal_s;
  }
}

/** @param {string[]} tag */
function isGapTag([name]) {
  return name === "GAP";
}

function hasMediaSource() {
  return "MediaSource" in globalThis || "ManagedMediaSource" in globalThis;
}
