/** The screen: full screen for an element where the browser can, for the video where it cannot; and staying awake. */

/** @typedef {HTMLVideoElement & {webkitEnterFullscreen?: () => void}} IosVideo  iPhones put only videos in full screen */

/**
 * @param {HTMLElement} stage
 * @param {IosVideo} video
 */
export function canFillScreen(stage, video) {
  return "requestFullscreen" in stage || "webkitEnterFullscreen" in video;
}

/**
 * @param {HTMLElement} stage
 * @param {IosVideo} video
 */
export async function toggleFullScreen(stage, video) {
  if (!("requestFullscreen" in stage)) {
    /** @type {IosVideo} */ (video).webkitEnterFullscreen?.();
    return;
  }
  try {
    if (document.fullscreenElement === null) await stage.requestFullscreen({ navigationUI: "hide" });
    else await document.exitFullscreen();
  } catch (error) {
    // Refused by the browser's or the school's policy: the page stays as it is.
    if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
  }
}

/** Keeps a phone's screen from going dark while a lesson is on. */
export class Wakefulness {
  /** @type {WakeLockSentinel | null} */
  #lock = null;
  #wanted = false;

  constructor() {
    // The browser drops the lock whenever the page is hidden.
    document.addEventListener("visibilitychange", () => void this.#apply());
  }

  /** @param {boolean} wanted */
  keep(wanted) {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    void this.#apply();
  }

  async #apply() {
    if (!("wakeLock" in navigator) || document.visibilityState !== "visible") return;
    try {
      if (this.#wanted && (this.#lock === null || this.#lock.released)) {
        this.#lock = await navigator.wakeLock.request("screen");
      }
      if (!this.#wanted) await this.#lock?.release();
    } catch (error) {
      // A low battery or a policy forbids it; the lesson goes on.
      if (!(error instanceof DOMException)) throw error;
    }
  }
}
