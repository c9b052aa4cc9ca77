/**
 * The picture and the voice: one video element, its sound, and the last picture kept on a canvas while sessions change.
 *
 * The element is lent to a recording while one plays; the newest stream waits meanwhile. Not here: where the stream
 * comes from (`session.js`), recordings (`recording.js`) and the buttons (`controls.js`).
 */

import { recall, remember } from "./memory.js";

/** Any volume that a browser would not have by itself. */
const PROBE = 0.5;

/**
 * @typedef {object} PlayerListener
 * @property {() => void} onPicture  a picture reached the screen, after `awaitPicture()`
 * @property {() => void} onSound    the sound went on or off, or its volume changed
 */

export class Player {
  #video;
  #last;
  #listener;
  #awaited = 0;
  /** @type {MediaStream | null} the newest */
  #stream = null;
  #lent = false;
  #paused = false;

  /**
   * @param {HTMLVideoElement} video
   * @param {HTMLCanvasElement} last  lies over the video
   * @param {PlayerListener} listener
   */
  constructor(video, last, listener) {
    this.#video = video;
    this.#last = last;
    this.#listener = listener;
    video.volume = PROBE;
    /** On iOS the volume belongs to the phone's own buttons. */
    this.canSetVolume = video.volume === PROBE;
    video.volume = savedVolume();
    video.muted = true;
    video.addEventListener("volumechange", () => listener.onSound());
    // A browser may pause a video in the background or when headphones go; only the pupil may pause, and only a replay.
    // At its end a browser pauses it as well, and to play would be to begin anew.
    video.addEventListener("pause", () => video.ended || this.#play());
    document.addEventListener("visibilitychange", () => this.#play());
  }

  /** For whoever plays a recording in it, and for listening to it. */
  get video() {
    return this.#video;
  }

  /** @returns {boolean} */
  get sound() {
    return !this.#video.muted;
  }

  /** 0 to 1. */
  get volume() {
    return this.#video.volume;
  }

  set volume(volume) {
    const level = Math.min(1, Math.max(0, volume));
    this.#video.volume = level;
    this.#video.muted = level === 0;
    if (level > 0) remember("volume", String(level));
  }

  /** Call this in a gesture's handler: browsers allow sound only from there. */
  turnSoundOn() {
    this.#video.muted = false;
    if (this.#video.volume === 0) this.#video.volume = 1;
    this.#play();
  }

  turnSoundOff() {
    this.#video.muted = true;
  }

  /**
   * Shows another session's stream; the last picture stays until the first one of the new stream.
   * @param {MediaStream} stream
   */
  show(stream) {
    this.#stream = stream;
    if (!this.#lent) this.#showStream();
  }

  /**
   * Lends the element to a recording; pictures that are awaited from now on are the recording's.
   * @returns {HTMLVideoElement} without a source
   */
  lend() {
    this.#lent = true;
    this.#paused = false;
    this.bridge();
    this.#video.srcObject = null;
    return this.#video;
  }

  /** The element gets another source: the last picture stays until the first one of that. */
  bridge() {
    this.#keepLast();
    this.#video.addEventListener("loadeddata", () => this.#play(), { once: true });
    this.awaitPicture();
  }

  /** Back to the newest stream. */
  takeBack() {
    this.#lent = false;
    this.#paused = false;
    this.rate = 1;
    this.#showStream();
  }

  get isLent() {
    return this.#lent;
  }

  get paused() {
    return this.#paused;
  }

  /** Only a recording can be paused. */
  pause() {
    this.#paused = this.#lent;
    if (this.#lent) this.#video.pause();
  }

  /** Goes on; from the beginning, if it was at its end. */
  resume() {
    this.#paused = false;
    this.#play();
  }

  /** 1 is as it was spoken; the voice keeps its pitch at any pace. */
  get rate() {
    return this.#video.playbackRate;
  }

  set rate(rate) {
    this.#video.preservesPitch = true;
    this.#video.defaultPlaybackRate = rate; // or another source would begin at 1
    this.#video.playbackRate = rate;
  }

  /** Reports the next picture that reaches the screen. */
  awaitPicture() {
    const awaited = ++this.#awaited;
    const shown = () => {
      if (awaited !== this.#awaited) return;
      this.#last.hidden = true;
      this.#listener.onPicture();
    };
    // Firefox before 132, which old Windows machines in schools still run, has no callback for pictures.
    /** @type {Partial<Pick<HTMLVideoElement, "requestVideoFrameCallback">>} */
    const { requestVideoFrameCallback } = this.#video;
    if (requestVideoFrameCallback) requestVideoFrameCallback.call(this.#video, shown);
    else this.#video.addEventListener("timeupdate", shown, { once: true });
  }

  /** Forgets the last picture: it must not come back from behind a curtain. */
  forget() {
    this.#last.hidden = true;
    this.#last.width = 0;
  }

  #showStream() {
    this.#keepLast();
    this.#video.srcObject = this.#stream;
    this.#play();
    this.awaitPicture();
  }

  #keepLast() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    if (width === 0 || this.#video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    this.#last.width = width;
    this.#last.height = height;
    this.#last.getContext("2d")?.drawImage(this.#video, 0, 0);
    this.#last.hidden = false;
  }

  #play() {
    if (this.#paused || (this.#video.srcObject === null && !this.#lent)) return;
    this.#video.play().catch((/** @type {unknown} */ error) => {
      // Another stream took this one's place, or the browser wants a gesture first: the sound button is one.
      if (!(error instanceof DOMException)) throw error;
    });
  }
}

function savedVolume() {
  const saved = Number(recall("volume") ?? 1);
  return saved > 0 && saved <= 1 ? saved : 1;
}
